"""Settings of the asset graph and the embedded stack: the only reader of the environment in this package."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import Field, SecretStr, model_validator

from streaming import settings as streaming_settings
from streaming.settings import Port


class Settings(streaming_settings.Settings):
    """What the asset graph and the embedded stack can be told from outside."""

    postgres_embedded_port: Port = Field(15432, description="Port of the embedded PostgreSQL.")
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL of your own, `postgresql://user:password@host:port/db`; empty: POSTGRES_* or embedded.",
    )
    postgres_host: str | None = Field(None, description="Host of your own PostgreSQL, instead of DATABASE_URL.")
    postgres_port: Port = Field(5432, description="Its port.")
    postgres_user: str = Field("music", description="Its user.")
    postgres_password: SecretStr | None = Field(None, description="Its password.")
    postgres_db: str = Field("music", description="Its database.")
    warehouse_target: Literal["postgres", "snowflake"] = Field("postgres", description="Where dbt builds the marts.")
    train_engine: Literal["python", "spark"] = Field(
        "python", description="spark: candidates_ials trains on Spark MLlib as well and shows both side by side."
    )
    warehouse_interval_seconds: int = Field(
        180, ge=10, description="The warehouse follows a moved lake at most this often, in seconds."
    )
    alert_webhook_url: SecretStr | None = Field(
        None, description="Where a JSON object is posted when a check turns; `text` is a sentence, as chats take it."
    )
    alert_mail_to: str | None = Field(None, description="Who gets a mail when a check turns.")
    smtp_url: SecretStr | None = Field(
        None,
        description="Mail server, `smtp(s)://user:password@host:port`; empty: mails are files in an outbox.",
    )
    mlflow_tracking_uri: str = Field(
        "", description="MLflow, `http://host:5000` or `sqlite:///file`; empty: SQLite in MUSIC_HOME; off: nowhere."
    )
    mlflow_experiment_name: str = Field("music", min_length=1, description="Experiment of the training runs there.")
    api_port: Port = Field(8000, description="Port of the API.")
    api_key: SecretStr | None = Field(
        None, description="Key with the scopes ingest and read, for `music simulate` and the demo, where API_AUTH=keys."
    )
    lastfm_api_key: SecretStr | None = Field(None, description="Last.fm API key; empty: recorded answers.")
    lastfm_users: str = Field(
        "", description="Last.fm accounts to collect, with commas; `account=user_id` gives the plays to that user id."
    )
    lastfm_url: str = Field("https://ws.audioscrobbler.com/2.0/", description="Address of Last.fm's API.")
    spotify_client_id: str | None = Field(None, description="Spotify application; empty: recorded answers.")
    spotify_client_secret: SecretStr | None = Field(None, description="Its secret.")
    spotify_refresh_token: SecretStr | None = Field(
        None, description="Of the account to collect, with user-read-recently-played and user-library-read."
    )
    spotify_user: str = Field("", description="User id that the plays belong to; empty: `spotify:` and the account.")
    spotify_url: str = Field("https://api.spotify.com/v1", description="Address of Spotify's Web API.")
    spotify_accounts_url: str = Field("https://accounts.spotify.com", description="Address of Spotify's tokens.")
    listenbrainz_token: SecretStr | None = Field(None, description="ListenBrainz token; listens are public without it.")
    listenbrainz_users: str = Field(
        "", description="ListenBrainz accounts to collect, as LASTFM_USERS; empty: recorded answers."
    )
    listenbrainz_url: str = Field("https://api.listenbrainz.org", description="Address of ListenBrainz' API.")

    snowflake_account: str | None = Field(None, description="Snowflake account, such as `org-name`.")
    snowflake_user: str | None = Field(None, description="Its user.")
    snowflake_private_key: SecretStr | None = Field(None, description="The user's private key, PEM without passphrase.")
    snowflake_role: str = Field("MUSIC", description="Role that owns what the platform makes there.")
    snowflake_warehouse: str = Field("MUSIC", description="Virtual warehouse that computes.")
    snowflake_database: str = Field("MUSIC", description="Database.")
    snowflake_host: str | None = Field(None, description="Host, where it does not follow from the account.")
    snowflake_port: Port = Field(443, description="Port.")
    snowflake_protocol: Literal["https", "http"] = Field("https", description="http only against a local stand-in.")

    @model_validator(mode="after")
    def _snowflake_is_known(self) -> Self:
        needed = ("snowflake_account", "snowflake_user", "snowflake_private_key")
        missing = [name.upper() for name in needed if not getattr(self, name)]
        if self.warehouse_target == "snowflake" and missing:
            raise ValueError(f"WAREHOUSE_TARGET=snowflake needs {', '.join(missing)}; or set WAREHOUSE_TARGET=postgres")
        return self

    @property
    def embedded_postgres(self) -> bool:
        """Whether PostgreSQL is ours to start."""
        return self.database_url is None and self.postgres_host is None

    @property
    def database(self) -> str:
        """URL of the database to talk to: yours, or the embedded one."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        if self.postgres_host is None:
            return f"postgresql://music@127.0.0.1:{self.postgres_embedded_port}/music"
        password = f":{quote(self.postgres_password.get_secret_value(), safe='')}" if self.postgres_password else ""
        user = quote(self.postgres_user, safe="")
        return f"postgresql://{user}{password}@{self.postgres_host}:{self.postgres_port}/{self.postgres_db}"

    @property
    def model_root(self) -> Path:
        """Folder of the model bundles and of the pointer to the champion."""
        return self.music_home / "models"

    @property
    def tracking_uri(self) -> str | None:
        """Where training runs are logged: yours, a SQLite file, or None for nowhere."""
        if self.mlflow_tracking_uri == "off":
            return None
        return self.mlflow_tracking_uri or f"sqlite:///{self.tracking_root / 'runs.sqlite'}"

    @property
    def tracking_root(self) -> Path:
        """Folder of the training runs and their files, unless MLFLOW_TRACKING_URI names another place."""
        return self.music_home / "mlflow"

    @property
    def upload_root(self) -> Path:
        """Folder of the files that came through the API and are not imported yet, named by their imports."""
        return self.music_home / "imports"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder: instance configuration, compute logs."""
        return self.music_home / "dagster"

    @property
    def api_url(self) -> str:
        """Where the API answers on this machine."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def dagster_url(self) -> str:
        """Where the Dagster UI answers on this machine."""
        return f"http://127.0.0.1:{self.dagster_port}"


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return streaming_settings.load(Settings)


def tell_mlflow() -> None:
    """Tell MLflow, which reads the environment for itself, to report nothing and to give up soon on a dead server."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # noqa: TID251 - said here, for all
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # noqa: TID251
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # noqa: TID251


def child_environment(chosen: Settings) -> dict[str, str]:
    """Return the environment of a process that is to find these settings, whatever this process was told.

    A secret that comes from a file (`NAME_FILE`) goes on as that file's name.
    """
    environment = dict(os.environ)  # noqa: TID251 - this module reads it, and what is not ours goes on as it is
    for name, value in chosen:
        variable = name.upper()
        if isinstance(value, SecretStr) and environment.get(f"{variable}_FILE") and variable not in environment:
            continue
        environment.pop(f"{variable}_FILE", None)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        environment[variable] = "" if plain is None else str(plain)
    # glibc gives each thread an arena and keeps what was freed there: a JVM with forty threads never shrinks.
    environment.setdefault("MALLOC_ARENA_MAX", "2")
    return environment
