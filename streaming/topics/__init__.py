"""The topics: one reviewed YAML file each, beside examples that every reader must take or refuse.

`TOPICS` is the registry all else is derived from: the broker's topics (`streaming.topics.admin`), the
lake's tables (`streaming.tables`) and the assets of the first stages.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from streaming.events import EVENT_MODELS, FIRST_VERSION, MODELS, EventType, Message

FOLDER: Final = Path(__file__).parent
EXAMPLES: Final = FOLDER / "examples"
"""`examples/<topic>/v<version>/good-*.json` must parse; `bad-<reason>-*.json` must be refused for that reason."""

_DAY_MS: Final = 86_400_000

MAX_BATCH_BYTES: Final = 1_048_588
"""Largest batch a broker must take, its own default: producers fill batches up to 1,000,000 bytes."""

_AWAY_DAYS: Final = 7
"""How long the streams may be away without missing the deletion of a catalogue item."""


class Topic(BaseModel):
    """One topic as its file declares it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str
    owner: str
    versions: dict[int, str] = Field(min_length=1, description="Model of each version; a reader reads them all.")
    partitions: int = Field(ge=1, description="Never changed in place: it would move listeners to other partitions.")
    retention_days: int | None = Field(None, ge=1)
    compacted: bool = False
    key: str = Field(description="Field of the event that is the message key.")
    producers: tuple[str, ...] = Field(min_length=1)
    consumers: tuple[str, ...] = Field(min_length=1)
    table: str = Field(description="Table below bronze and silver.")
    dead_letter: str
    stale_after_minutes: int = Field(ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Topic:
        if self.compacted == (self.retention_days is not None):
            raise ValueError(f"topic {self.name}: give either retention_days or compacted: true")
        if list(self.versions) != list(range(FIRST_VERSION, FIRST_VERSION + len(self.versions))):
            # Bronze keeps every message, and silver can be made from it again: no version is ever given up.
            raise ValueError(f"topic {self.name}: versions must count from {FIRST_VERSION} without a gap")
        if unknown := set(self.versions.values()) - MODELS.keys():
            raise ValueError(f"topic {self.name}: no model {', '.join(unknown)}; valid: {', '.join(MODELS)}")
        if self.key not in self.model.model_fields:
            raise ValueError(f"topic {self.name}: key must be a field of {self.event}")
        self._check_older_versions()
        return self

    def _check_older_versions(self) -> None:
        newest = self.model.model_fields
        for version, model in self.models.items():
            fields = model.model_fields
            if lost := fields.keys() - newest.keys():
                raise ValueError(
                    f"topic {self.name}: {self.event} lacks {', '.join(sorted(lost))} of version {version}; "
                    "a field may become optional, but never leave: its column holds what is stored already"
                )
            strict = {name for name, info in newest.items() if info.is_required()}
            if gone := {name for name in strict if name not in fields or not fields[name].is_required()}:
                raise ValueError(
                    f"topic {self.name}: {self.event} requires {', '.join(sorted(gone))}, which version {version} does "
                    "not; make it optional: the column must hold rows of both"
                )

    @property
    def models(self) -> dict[int, type[Message]]:
        """The pydantic model of each version."""
        return {version: MODELS[name] for version, name in self.versions.items()}

    @property
    def event(self) -> str:
        """Name of the newest version's model."""
        return self.versions[max(self.versions)]

    @property
    def model(self) -> type[Message]:
        """The newest version's model, whose fields are the columns of the tables."""
        return MODELS[self.event]

    @property
    def event_type(self) -> EventType | None:
        """The event type that belongs here; None for catalogue and recommendations."""
        return next((kind for kind, model in EVENT_MODELS.items() if issubclass(self.model, model)), None)

    @property
    def config(self) -> dict[str, str]:
        """The broker's settings of the topic."""
        # An acknowledged message is one that the leader after this one has as well.
        common = {"compression.type": "producer", "unclean.leader.election.enable": "false"}
        if self.compacted:
            return {"cleanup.policy": "compact", **common}
        # A limit in bytes, a broker's default, would take messages before their time.
        retention = str((self.retention_days or 0) * _DAY_MS)
        return {"cleanup.policy": "delete", "retention.ms": retention, "retention.bytes": "-1", **common}

    @property
    def least(self) -> dict[str, int]:
        """Settings that the broker may have higher, but not lower."""
        least = {"max.message.bytes": MAX_BATCH_BYTES}
        # A deletion that is gone before the streams saw it would leave the item in silver for ever.
        return {**least, "delete.retention.ms": _AWAY_DAYS * _DAY_MS} if self.compacted else least


@cache
def topics() -> dict[str, Topic]:
    """Return every topic by name, in the order of the names."""
    files = sorted(FOLDER.glob("*.yaml"))
    return {file.stem: Topic(name=file.stem, **yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files}


@cache
def event_topic(event_type: EventType) -> Topic:
    """Return the topic that events of a type are routed to."""
    return next(topic for topic in topics().values() if topic.event_type is event_type)


def event_topics() -> list[Topic]:
    """Return the topics that hold listening events."""
    return [topic for topic in topics().values() if topic.event_type is not None]


def catalog_topics() -> list[Topic]:
    """Return the compacted topics: their tables hold the last value of each key."""
    return [topic for topic in topics().values() if topic.compacted]


def log_topics() -> list[Topic]:
    """Return the topics whose every position counts in the ledger: all but the compacted ones."""
    return [topic for topic in topics().values() if not topic.compacted]
