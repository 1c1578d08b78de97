"""Settings of the API: the only reader of the environment in this package."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

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
    redis_timeout_seconds: float = Field(
        0.08, gt=0, description="How long a request waits for Redis before it is answered without."
    )

    import_limit_mb: int = Field(1024, gt=0, description="Largest file that `POST /imports` takes, in MiB.")

    experiment: str = Field(
        "",
        description="Who is tried with what, `NAME:ARM=SHARE,…` of champion, challenger and shadow; empty: nobody.",
    )
    exploration_share: float = Field(
        0, ge=0, le=0.5, description="Share of the places in an answer that go to little known items; 0: none."
    )
    newcomer_share: float = Field(
        0.02, ge=0, le=0.25,
        description="Share of the places in an answer that go to items nobody played and that fit; 0: none.",
    )  # fmt: skip

    api_host: str = Field("127.0.0.1", description="Address that the API listens on; another one needs API_AUTH=keys.")
    api_auth: Literal["open", "keys"] = Field(
        "open", description="Who may ask the API: whoever is on this machine, or who has a key (`music key create`)."
    )
    api_rate_per_key: int = Field(
        6000, ge=0, description="Requests a minute of one key, with API_AUTH=keys; 0: as many as come."
    )
    api_rate_per_ip: int = Field(
        600, ge=0, description="Requests a minute of one address without a valid key, with API_AUTH=keys; 0: no limit."
    )
    api_cors_origins: str = Field(
        "", description="Web pages elsewhere that may ask, with commas, such as https://music.example."
    )

    session_idle_minutes: int = Field(
        720, gt=0, description="A session of the web page ends after so long without a request."
    )
    session_hours: int = Field(168, gt=0, description="A session of the web page ends after so long in any case.")

    otel_exporter_otlp_endpoint: str = Field(
        "", description="OpenTelemetry collector, such as http://127.0.0.1:4318; empty: no traces leave."
    )
    otel_trace_share: float = Field(
        0.1, ge=0, le=1, description="Share of the requests that are traced, where the caller has not decided it."
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

    @model_validator(mode="after")
    def _open_is_for_this_machine(self) -> Self:
        if self.api_auth == "open" and not _is_loopback(self.api_host):
            raise ValueError(
                f"API_HOST={self.api_host} lets others ask the API, and API_AUTH=open asks nobody for a key; "
                "set API_AUTH=keys, or API_HOST=127.0.0.1"
            )
        return self

    @property
    def cors_origins(self) -> list[str]:
        """Origins of the web pages elsewhere that may ask."""
        return [origin.strip().rstrip("/") for origin in self.api_cors_origins.split(",") if origin.strip()]

    @property
    def spool_path(self) -> Path:
        """SQLite file of the events that wait for the broker."""
        return self.music_home / "spool" / "events.sqlite"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return streaming_settings.load(Settings)
