"""What the API says is wrong, as exceptions."""

from __future__ import annotations

from streaming.errors import MusicError


class ApiError(MusicError):
    """An answer that is a problem.

    Attributes:
        status: of HTTP.
        detail: what went wrong, for a person.
        field: to blame, if one is.
        valid: what would be valid there, if that can be listed.
    """

    def __init__(self, status: int, detail: str, *, field: str | None = None, valid: tuple[str, ...] = ()) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.field = field
        self.valid = valid


class ApiUnavailableError(ApiError):
    """The API, or what it needs, did not answer however often it was asked; nothing is lost if it is asked again."""
