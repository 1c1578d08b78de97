"""Messages as Kafka gives them to rows: the parser of `streaming.parse`, a Spark partition at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyspark.sql.pandas.types import from_arrow_schema

from streaming.claims import hashes
from streaming.events import MODELS, normalise_item_id
from streaming.parse import Reason, Rejection, Row, parse
from streaming.tables import UTC_MICROSECONDS, arrow_schema
from streaming.topics import topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from pyspark.sql import DataFrame

_RAW: Final = pa.schema(
    [
        pa.field("topic", pa.string()),
        pa.field("kafka_partition", pa.int32()),
        pa.field("kafka_offset", pa.int64()),
        pa.field("kafka_timestamp", UTC_MICROSECONDS),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("headers", pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))),
    ]
)

_OUTCOME: Final = pa.schema(
    [
        pa.field("kafka_topic_id", pa.string()),
        pa.field("listener_hash", pa.int64()),
        pa.field("payload_hash", pa.int64()),
        pa.field("deleted", pa.bool_()),
        pa.field("reason", pa.string()),
        pa.field("field", pa.string()),
        pa.field("detail", pa.string()),
    ]
)


def _model_fields() -> pa.Schema:
    """The fields of every model, each name once; equal names have equal types, or this fails."""
    schemas = [arrow_schema(model) for model in MODELS.values()]
    return pa.unify_schemas([pa.schema([field.with_nullable(nullable=True) for field in part]) for part in schemas])


PARSED: Final = pa.schema([*_RAW, *_OUTCOME, *_model_fields()])
"""Columns after parsing: the message, its outcome, and the fields of every model, null where they do not apply."""


def as_messages(kafka: DataFrame) -> DataFrame:
    """Return Kafka's columns under the lake's names: topic, position, time, key, value, headers."""
    return kafka.selectExpr(
        "topic", "partition AS kafka_partition", "offset AS kafka_offset", "timestamp AS kafka_timestamp",
        "key", "value", "headers",
    )  # fmt: skip


def parse_messages(messages: DataFrame, *, topic_ids: Mapping[str, str], now: datetime) -> DataFrame:
    """Parse every message; see `PARSED` for the columns.

    Args:
        messages: as `as_messages` gives them.
        topic_ids: the broker's id of each topic.
        now: the time against which `future_time` is judged.
    """
    work = partial(_parse_partition, topic_ids=dict(topic_ids), now=now)
    return messages.mapInArrow(work, from_arrow_schema(PARSED))


def _parse_partition(
    batches: Iterator[pa.RecordBatch], *, topic_ids: dict[str, str], now: datetime
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        names = batch.column("topic").to_pylist()
        values = batch.column("value").to_pylist()
        if not topics().keys() & {name for name in names if topics()[name].compacted}:
            results = [parse(name, value, now=now) for name, value in zip(names, values, strict=True)]
        else:
            keys = batch.column("key").to_pylist()
            results = [_read(*message, now=now) for message in zip(names, keys, values, strict=True)]
        yield _assemble(batch, results, [topic_ids[name] for name in names])


def _read(topic: str, key: bytes | None, value: bytes | None, *, now: datetime) -> Row | Rejection:
    """Parse one message of a topic that may be compacted: there, no value means that the key is gone."""
    if value is not None or not topics()[topic].compacted:
        return parse(topic, value, now=now)
    try:
        return {"item_id": normalise_item_id((key or b"").decode()), "deleted": True}
    except ValueError:
        return Rejection(Reason.EMPTY_MESSAGE, None, "the message has neither a value nor the key of an item")


_REFUSED: Final[Row] = {}


def _assemble(batch: pa.RecordBatch, results: list[Row | Rejection], topic_ids: list[str]) -> pa.RecordBatch:
    rows = [_REFUSED if isinstance(result, Rejection) else result for result in results]
    present = set().union(*({tuple(row) for row in rows}))
    marks = [hashes(row) if "event_id" in row else (None, None) for row in rows]
    given: dict[str, list[Any]] = {
        "kafka_topic_id": topic_ids,
        "listener_hash": [mark[0] for mark in marks],
        "payload_hash": [mark[1] for mark in marks],
    }
    if any(isinstance(result, Rejection) for result in results):
        for at, name in enumerate(Rejection._fields):
            given[name] = [result[at] if isinstance(result, Rejection) else None for result in results]
    columns = []
    for column in PARSED:
        if column.name in _RAW.names:
            columns.append(batch.column(column.name).cast(column.type))
        elif column.name in given:
            columns.append(pa.array(given[column.name], column.type))
        elif column.name in present:
            columns.append(pa.array([row.get(column.name) for row in rows], column.type))
        else:
            columns.append(pa.nulls(len(rows), column.type))
    return pa.RecordBatch.from_arrays(columns, schema=PARSED)
