"""Time zones as they are named in a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from music_assets.sources.imports import time_zone
from streaming.errors import ConfigurationError, ContractError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def wanted_zone(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        ContractError: there is none of this name.
    """
    try:
        return time_zone(name)
    except ConfigurationError as error:
        raise ContractError("bad_format", "zone", str(error)) from error
