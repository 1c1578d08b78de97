"""Settings of the event log and the lake: the only reader of the environment in this package.

Names are those of the environment, without a prefix. Any of them can be given as `NAME_FILE`, the path
of a file that holds the value, as orchestrators mount secrets.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from streaming.errors import ConfigurationError
from streaming.object_store import ObjectStore
from streaming.storage import SCHEME, Format, Storage

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails


Port = Annotated[int, Field(ge=1, le=65535)]


class SecretFileSource(PydanticBaseSettingsSource):
    """Reads `NAME_FILE` for every field `name`, so that no secret needs to be in the environment."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Return the content of the file that `<FIELD>_FILE` names, or None."""
        path = os.environ.get(f"{field_name.upper()}_FILE")  # noqa: TID251 - this is the reader
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise ConfigurationError(f"{field_name.upper()}_FILE names {path}, which cannot be read") from error

    def __call__(self) -> dict[str, Any]:
        """Return the values of all fields that a file gives."""
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class Settings(BaseSettings):
    """What the streaming package can be told from outside."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    music_home: Path = Field(Path(".music"), description="State of the embedded stack: data, logs, bundles.")
    jars_path: Path = Field(Path(".music/jars"), description="Jars of the broker and of Spark: `kafka/`, `spark/`.")
    kafka_port: Port = Field(19092, description="Port of the embedded broker.")
    kafka_bootstrap_servers: str = Field("", description="Brokers of your own; empty: the embedded one.")
    lakehouse_path: str = Field("", description="Root of the lake; empty: `lake` below MUSIC_HOME.")
    storage_format: Format = Field("delta", description="File format of the lake's tables.")
    s3_endpoint: str | None = Field(None, description="Address of the object store of an `s3a://` lake.")
    s3_access_key: SecretStr | None = Field(None, description="Key id for the object store.")
    s3_secret_key: SecretStr | None = Field(None, description="Secret for the object store.")
    spark_master: str = Field("local[2]", description="Where Spark runs.")
    spark_driver_memory: str = Field("1100m", description="Heap of the one Spark JVM.")
    stream_engine: Literal["spark", "python"] = Field("spark", description="Engine of the streaming jobs.")
    stream_port: Port = Field(9108, description="Metrics, health and control of the streaming jobs.")
    silver_interval_seconds: float = Field(
        2, gt=0, description="Time between silver batches: each costs a commit per table."
    )
    bronze_interval_seconds: float = Field(60, gt=0, description="Time between bronze batches.")
    trending_interval_seconds: float = Field(300, ge=1, le=3600, description="Time between ticks of the 1 h trending.")
    trending_24h_interval_seconds: float = Field(
        900, ge=1, le=86_400, description="Time between ticks of the 24 h trending."
    )
    max_offsets_per_trigger: int = Field(
        500_000, gt=0, description="Upper bound of a micro-batch, in messages over all topics."
    )
    halt_dead_letter_share: float = Field(
        0.5, gt=0, le=1, description="Share of bad messages of a topic above which silver halts; 1: never."
    )
    halt_dead_letters: int = Field(50, gt=0, description="Bad messages of a topic below which silver never halts.")
    redrive_attempts: int = Field(3, gt=0, description="How often one dead letter is sent again at most.")
    features_port: Port = Field(9109, description="Metrics, health and control of the listeners' features.")
    redis_port: Port = Field(16379, description="Port of the embedded Redis.")
    redis_url: str | None = Field(
        None, description="Redis of your own, `redis://host:port/0`; empty: the embedded one."
    )
    dagster_port: Port = Field(3000, description="Port of the Dagster UI, where materialisations are reported.")

    @field_validator("music_home", "jars_path", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("lakehouse_path")
    @classmethod
    def _known_place(cls, value: str) -> str:
        scheme, found, rest = value.partition("://")
        if found and (f"{scheme}://" != SCHEME or not rest.strip("/")):
            raise ValueError(f"LAKEHOUSE_PATH={value} is not supported; valid: a local path, s3a://bucket/prefix")
        return value

    @field_validator("s3_endpoint")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError(f"S3_ENDPOINT={value} is no address; valid: http://host:port, https://host")
        return value

    @model_validator(mode="after")
    def _parquet_is_local(self) -> Self:
        # An object store has no link that only one can make.
        if self.storage_format == "parquet" and self.lakehouse_path.startswith(SCHEME):
            raise ValueError("STORAGE_FORMAT=parquet needs a LAKEHOUSE_PATH on a disk; valid: delta, or a local path")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: arguments, environment, `NAME_FILE`, `.env`."""
        return init_settings, env_settings, SecretFileSource(settings_cls), dotenv_settings

    @property
    def bootstrap_servers(self) -> str:
        """Brokers to talk to: yours, or the embedded one."""
        return self.kafka_bootstrap_servers or f"127.0.0.1:{self.kafka_port}"

    @property
    def embedded_kafka(self) -> bool:
        """Whether the broker is ours to start."""
        return not self.kafka_bootstrap_servers

    @property
    def embedded_redis(self) -> bool:
        """Whether Redis is ours to start."""
        return self.redis_url is None

    @property
    def redis(self) -> str:
        """URL of the Redis to talk to: yours, or the embedded one."""
        return self.redis_url or f"redis://127.0.0.1:{self.redis_port}/0"

    @property
    def storage(self) -> Storage:
        """Where the lake lies."""
        if not self.lakehouse_path.startswith(SCHEME):
            given = Path(self.lakehouse_path).expanduser().resolve() if self.lakehouse_path else None
            return Storage(str(given or self.music_home / "lake"), format=self.storage_format)
        store = ObjectStore(
            endpoint=self.s3_endpoint, access_key=_plain(self.s3_access_key), secret_key=_plain(self.s3_secret_key)
        )
        return Storage(self.lakehouse_path.rstrip("/"), store)

    @property
    def checkpoint_root(self) -> Path:
        """Folder of what is of this machine alone: checkpoints, claims, halt, what a switch has left to do."""
        storage = self.storage
        if storage.store is None:
            return storage.folder / "_checkpoints"
        return self.music_home / "checkpoints" / hashlib.sha256(storage.root.encode()).hexdigest()[:16]


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


S = TypeVar("S", bound=Settings)


def load(kind: type[S]) -> S:
    """Read settings from the environment.

    Raises:
        ConfigurationError: a setting is wrong; the message names it and never shows a secret.
    """
    try:
        return kind()
    except ValidationError as error:
        raise ConfigurationError("; ".join(_sentence(each) for each in error.errors(include_url=False))) from error


def _sentence(error: ErrorDetails) -> str:
    # A validator's own sentence names the setting already; pydantic's does not.
    own = error.get("ctx", {}).get("error")
    return str(own) if own else f"{str(error['loc'][0]).upper()}: {error['msg']}"


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return load(Settings)
