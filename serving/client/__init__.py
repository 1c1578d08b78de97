"""A typed client for programs: `from serving.client import MusicClient`."""

from serving.client.client import MusicClient
from serving.client.errors import ApiError, ApiUnavailableError

__all__ = ["ApiError", "ApiUnavailableError", "MusicClient"]
