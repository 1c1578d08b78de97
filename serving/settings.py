"""Settings of the API: the only reader of the environment in this package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field, field_validator

from music_assets import settings as music_settings
from music_assets.recommender.assignment import Experiment, parse_experiment
from streaming import settings as streaming_settings
from streaming.errors import ConfigurationError


class Settings(music_settings.Settings):
    """What the API can be told from outside."""

    spool_limit: int = Field(100_000, gt=0, description="Events kept here while the broker is away; full: 503.")
    produce_timeout_seconds: float = Field(
        2, gt=0, description="How long a request waits for the broker before its events are spooled."
    )

    import_limit_mb: int = Field(1024, gt=0, description="Largest file that `POST /imports` takes, in MiB.")

    experiment: str = Field(
        "",
        description="Who is tried with what, `NAME:ARM=SHARE,…` of champion, challenger and shadow; empty: nobody.",
    )
    exploration_share: float = Field(
        0, ge=0, le=0.5, description="Share of the places in an answer that go to little known items; 0: none."
    )

    @field_validator("experiment")
    @classmethod
    def _is_an_experiment(cls, value: str) -> str:
        try:
            parse_experiment(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return value

    @property
    def trial(self) -> Experiment | None:
        """The experiment that runs, if one does."""
        return parse_experiment(self.experiment)

    @property
    def spool_path(self) -> Path:
        """SQLite file of the events that wait for the broker."""
        return self.music_home / "spool" / "events.sqlite"


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return streaming_settings.load(Settings)
