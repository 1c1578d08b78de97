"""What assets are given: settings, lake and database, and a Spark session that starts on first use.

Nothing is opened when definitions load; every method opens what it names, when a run asks for it.
"""

from contextlib import AbstractContextManager
from typing import Any

import dagster as dg
import psycopg

from music_assets.settings import Settings, settings
from streaming.lake import Lake


class PlatformResource(dg.ConfigurableResource[None]):
    """The platform's own parts, by the settings of the process that runs the asset."""

    def settings(self) -> Settings:
        """Return the settings."""
        return settings()

    def lake(self) -> Lake:
        """Return a reader of the lake."""
        return Lake(self.settings().storage)

    def connect(self) -> AbstractContextManager[psycopg.Connection[tuple[Any, ...]]]:
        """Return a connection to PostgreSQL that commits when its block ends and rolls back when it fails."""
        return psycopg.connect(self.settings().database, connect_timeout=10)
