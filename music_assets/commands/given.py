"""What several commands are given: the database of the settings, and times as a person types them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from streaming.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    import psycopg

    from music_assets.settings import Settings


def database(chosen: Settings, *, autocommit: bool = False) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a connection to the database that settings name.

    Raises:
        UnavailableError: it does not answer.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        return psycopg.connect(chosen.database, connect_timeout=10, autocommit=autocommit)
    except psycopg.OperationalError as error:
        place = conninfo_to_dict(chosen.database)
        raise UnavailableError(
            f"PostgreSQL at {place.get('host')}:{place.get('port', 5432)} does not answer: "
            "start it, the embedded one with `music up`, or name another one in DATABASE_URL"
        ) from error


def moment(option: str, text: str) -> datetime:
    """Return the time that an option gives; it may lack a zone.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{option} {text!r} is no ISO 8601 time, such as 2026-06-01T00:00Z") from error
