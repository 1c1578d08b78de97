"""What several commands are given: the database of the settings, and times as a person types them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    import psycopg

    from music_assets.settings import Settings


def database(chosen: Settings, *, autocommit: bool = False) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a connection to the database that settings name."""
    import psycopg

    return psycopg.connect(chosen.database, connect_timeout=10, autocommit=autocommit)


def moment(option: str, text: str) -> datetime:
    """Return the time that an option gives; it may lack a zone.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{option} {text!r} is no ISO 8601 time, such as 2026-06-01T00:00Z") from error
