"""Versioned migrations of the operational database (Alembic)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the database to a revision; does nothing when it is there.

    Args:
        database_url: `postgresql://user:password@host:port/db`.
        revision: Alembic revision, by default the newest.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    # Not through the configuration: its values are interpolated, and a password may hold a percent sign.
    config.attributes["database_url"] = database_url
    command.upgrade(config, revision)
