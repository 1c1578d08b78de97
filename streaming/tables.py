"""Every table of the lake: name, grain, key and schema, derived from the events.

Schemas are Arrow's, which both Delta writers, Spark and the readers understand. A table is written only
through `streaming.sinks`.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import pyarrow as pa
from pydantic import AwareDatetime

from streaming.topics import catalog_topics, log_topics, topics

if TYPE_CHECKING:
    from pydantic import BaseModel

Layer = Literal["bronze", "silver", "deadletter", "lake", "gold"]

UTC_MICROSECONDS: Final = pa.timestamp("us", tz="UTC")

POSITION: Final = pa.schema(
    [
        pa.field("kafka_topic_id", pa.string(), nullable=False),
        pa.field("kafka_partition", pa.int32(), nullable=False),
        pa.field("kafka_offset", pa.int64(), nullable=False),
    ]
)
"""A message's identity. The topic's id counts because a re-created topic starts at offset 0 again."""

_HEADERS: Final = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of the lake.

    Attributes:
        layer: first part of the path, the asset key and the dbt source.
        name: second part of the same.
        grain: what one row is, as a sentence for people.
        key: columns that identify a row.
        schema: columns in order.
        topic: the topic that fills it, if one does.
        stale_after_minutes: age at which the table counts as stale.
        skip_columns: columns with statistics in the log; never a personal one, because statistics outlive rows.
    """

    layer: Layer
    name: str
    grain: str
    key: tuple[str, ...]
    schema: pa.Schema
    topic: str | None = None
    stale_after_minutes: int
    skip_columns: tuple[str, ...]

    @property
    def id(self) -> str:
        """`layer/name`."""
        return f"{self.layer}/{self.name}"

    @property
    def keeps_last(self) -> bool:
        """Whether it holds the last value of each key of a compacted topic."""
        return self.layer == "silver" and self.topic is not None and topics()[self.topic].compacted


def arrow_schema(model: type[BaseModel]) -> pa.Schema:
    """Return the Arrow schema of a pydantic model: the same names in the same order."""
    return pa.schema([_arrow_field(name, info.annotation) for name, info in model.model_fields.items()])


def _arrow_field(name: str, annotation: Any) -> pa.Field:
    parts = [_bare(part) for part in typing.get_args(annotation)] if _is_union(annotation) else [_bare(annotation)]
    nullable = types.NoneType in parts
    kind = next(part for part in parts if part is not types.NoneType)
    return pa.field(name, _arrow_type(kind), nullable=nullable)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in {types.UnionType, typing.Union}


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation


def _arrow_type(kind: Any) -> pa.DataType:
    if typing.get_origin(kind) is list:
        return pa.list_(_arrow_type(_bare(typing.get_args(kind)[0])))
    if isinstance(kind, type):
        for python, arrow in _ARROW_TYPES:
            if issubclass(kind, python):
                return arrow
    raise TypeError(f"no Arrow type for {kind!r}")


_ARROW_TYPES: Final[tuple[tuple[type, pa.DataType], ...]] = (
    (StrEnum, pa.string()),
    (str, pa.string()),
    (bool, pa.bool_()),
    (int, pa.int64()),
    (float, pa.float64()),
    (datetime, UTC_MICROSECONDS),
    (AwareDatetime, UTC_MICROSECONDS),
)


def _message_schema() -> pa.Schema:
    return pa.schema(
        [
            *POSITION,
            pa.field("kafka_timestamp", UTC_MICROSECONDS, nullable=False),
            pa.field("key", pa.binary()),
            pa.field("value", pa.binary()),
            pa.field("headers", _HEADERS),
        ]
    )


def _silver_schema(model: type[BaseModel]) -> pa.Schema:
    columns = [
        field.with_nullable(nullable=False) if field.name == "event_id" else field for field in arrow_schema(model)
    ]
    return pa.schema([*columns, *POSITION, pa.field("ingested_at", UTC_MICROSECONDS, nullable=False)])


def _dead_letter_schema() -> pa.Schema:
    return pa.schema(
        [
            *_message_schema(),
            pa.field("reason", pa.string(), nullable=False),
            pa.field("field", pa.string()),
            pa.field("detail", pa.string(), nullable=False),
            pa.field("ingested_at", UTC_MICROSECONDS, nullable=False),
        ]
    )


_TRENDING: Final = pa.schema(
    [
        pa.field("as_of", UTC_MICROSECONDS, nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("item_kind", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("previous_rank", pa.int32()),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("listeners", pa.int64(), nullable=False),
        pa.field("events", pa.int64(), nullable=False),
    ]
)

_LEDGER: Final = pa.schema(
    [
        pa.field("query", pa.string(), nullable=False),
        pa.field("batch_id", pa.int64(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("kafka_topic_id", pa.string(), nullable=False),
        pa.field("kafka_partition", pa.int32(), nullable=False),
        pa.field("first_offset", pa.int64(), nullable=False),
        pa.field("end_offset", pa.int64(), nullable=False),
        pa.field("received", pa.int64(), nullable=False),
        pa.field("stored", pa.int64(), nullable=False),
        pa.field("duplicate", pa.int64(), nullable=False),
        pa.field("dead_lettered", pa.int64(), nullable=False),
        pa.field("event_id_conflicts", pa.int64(), nullable=False),
        pa.field("erased", pa.int64()),
        pa.field("committed_at", UTC_MICROSECONDS, nullable=False),
    ]
)

_POSITION_KEY: Final = ("kafka_topic_id", "kafka_partition", "kafka_offset")
_POSITION_SKIP: Final = ("kafka_topic_id", "kafka_partition", "kafka_offset")

LEDGER: Final = Table(
    layer="lake",
    name="ledger",
    grain="One row per batch, topic and partition: the range of offsets it covered and the outcome of each.",
    key=("kafka_topic_id", "kafka_partition", "first_offset"),
    schema=_LEDGER,
    stale_after_minutes=15,
    skip_columns=("kafka_partition", "first_offset", "end_offset"),
)

ERASED: Final = Table(
    layer="lake",
    name="erased_positions",
    grain="One row per position whose message was removed, or never written, because its listener is forgotten.",
    key=_POSITION_KEY,
    schema=pa.schema(
        [
            pa.field("topic", pa.string(), nullable=False),
            *POSITION,
            pa.field("outcome", pa.string(), nullable=False),
            pa.field("erasure_id", pa.string(), nullable=False),
            pa.field("erased_at", UTC_MICROSECONDS, nullable=False),
        ]
    ),
    stale_after_minutes=10080,
    skip_columns=_POSITION_SKIP,
)

TOMBSTONES: Final = Table(
    layer="lake",
    name="tombstones",
    grain="One row per forgotten listener: a hash of the random id, so that nothing of theirs comes in again.",
    key=("listener_hash",),
    schema=pa.schema(
        [
            pa.field("listener_hash", pa.binary(), nullable=False),
            pa.field("erasure_id", pa.string(), nullable=False),
            pa.field("erased_at", UTC_MICROSECONDS, nullable=False),
        ]
    ),
    stale_after_minutes=10080,
    skip_columns=("erased_at",),
)

REDRIVEN: Final = Table(
    layer="lake",
    name="redriven",
    grain="One row per dead letter that was sent once more: where it first was, which attempt, and where it went.",
    key=(*_POSITION_KEY, "attempt"),
    schema=pa.schema(
        [
            pa.field("topic", pa.string(), nullable=False),
            *POSITION,
            pa.field("attempt", pa.int32(), nullable=False),
            pa.field("new_topic_id", pa.string(), nullable=False),
            pa.field("new_partition", pa.int32(), nullable=False),
            pa.field("new_offset", pa.int64(), nullable=False),
            pa.field("sent_at", UTC_MICROSECONDS, nullable=False),
        ]
    ),
    stale_after_minutes=10080,
    skip_columns=(*_POSITION_SKIP, "attempt"),
)


def _trending(window: str, *, stale_after_minutes: int) -> Table:
    return Table(
        layer="gold",
        name=f"trending_now_{window}",
        grain=f"One row per item among the most played, clicked and viewed of the last {window}, as of the last tick.",
        key=("item_id",),
        schema=_TRENDING,
        stale_after_minutes=stale_after_minutes,
        skip_columns=("rank",),
    )


TRENDING_1H: Final = _trending("1h", stale_after_minutes=15)
TRENDING_24H: Final = _trending("24h", stale_after_minutes=45)
CHARTS: Final = (TRENDING_1H, TRENDING_24H)
"""Tables that are replaced as a whole."""
TRENDING_HISTORY: Final = Table(
    layer="gold",
    name="trending_history",
    grain="One row per window, tick and item: every chart as it was published, or as a backfill corrected it.",
    key=("window", "as_of", "item_id"),
    schema=pa.schema([pa.field("window", pa.string(), nullable=False), *_TRENDING]),
    stale_after_minutes=15,
    skip_columns=("as_of", "rank"),
)


@cache
def tables() -> dict[str, Table]:
    """Return every table of the lake by id (`layer/name`)."""
    every: list[Table] = []
    for topic in topics().values():
        stale = topic.stale_after_minutes
        every.append(
            Table(
                layer="bronze", name=topic.table, topic=topic.name, key=_POSITION_KEY, schema=_message_schema(),
                grain=f"One row per position of `{topic.name}`: the message as it came, bytes and headers.",
                stale_after_minutes=stale, skip_columns=_POSITION_SKIP,
            )
        )  # fmt: skip
        every.append(
            Table(
                layer="deadletter", name=topic.name, topic=topic.name, key=_POSITION_KEY, schema=_dead_letter_schema(),
                grain=f"One row per message of `{topic.name}` that breaks its contract: the reason and its raw bytes.",
                stale_after_minutes=stale, skip_columns=_POSITION_SKIP,
            )
        )  # fmt: skip
    every.extend(
        Table(
            layer="silver", name=topic.table, topic=topic.name, key=("event_id",), schema=_silver_schema(topic.model),
            grain=f"One row per event_id of `{topic.name}`, for ever. {topic.description}",
            stale_after_minutes=topic.stale_after_minutes, skip_columns=("timestamp", *_POSITION_SKIP),
        )
        for topic in log_topics()
    )  # fmt: skip
    every.extend(
        Table(
            layer="silver", name=topic.table, topic=topic.name, key=("item_id",), schema=_silver_schema(topic.model),
            grain=f"One row per item_id of `{topic.name}`: the last value.",
            stale_after_minutes=topic.stale_after_minutes, skip_columns=_POSITION_SKIP,
        )
        for topic in catalog_topics()
    )  # fmt: skip
    every += [LEDGER, ERASED, TOMBSTONES, REDRIVEN, TRENDING_1H, TRENDING_24H, TRENDING_HISTORY]
    return {table.id: table for table in every}


def silver(name: str) -> Table:
    """Return a silver table by name."""
    return tables()[f"silver/{name}"]


def bronze(name: str) -> Table:
    """Return a bronze table by name."""
    return tables()[f"bronze/{name}"]


def dead_letters(topic: str) -> Table:
    """Return the table of a topic's dead letters."""
    return tables()[f"deadletter/{topic}"]
