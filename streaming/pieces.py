"""A staged part of a batch, and the forms in which messages and their marks travel to the decision."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from streaming.sinks.files import DataFile
from streaming.tables import UTC_MICROSECONDS

RAW: Final = pa.schema(
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
"""Messages under the lake's names. Headers may also come as Spark's JSON of the same, values in base64."""

MARKS: Final = pa.schema(
    [
        pa.field("partition", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("dead", pa.bool_()),
        pa.field("digest", pa.binary(16)),
        pa.field("listener", pa.binary(8)),
        pa.field("payload", pa.binary(8)),
        pa.field("happened_at", pa.int64()),
    ]
)
"""What the decision needs to know of each message: where it was, whether it is bad, what it claims and for whom, and
when it happened, in microseconds. The valid ones come first, in the order of their data file, then those that are in no
file yet, then the bad ones in the order of theirs. A catalogue record claims nothing."""


class Bad(msgspec.Struct, frozen=True):
    """A bad message in a log line: where it was, why, and the trace that it belongs to. Never what it said."""

    partition: int
    offset: int
    reason: str
    field: str | None
    trace_id: str | None


class Piece(msgspec.Struct, frozen=True):
    """Some messages of one topic, staged.

    Attributes:
        topic: its name.
        marks: `MARKS` as an Arrow stream.
        good: data file of the valid ones, if there are any and the topic is a log.
        dead: data file of the bad ones, if there are any.
        unsure: valid ones whose event id may have been there before, as an Arrow stream: no file has them, because
            some would have to leave it again.
        records: valid records of a compacted topic as an Arrow stream: they are merged, not appended.
        reasons: how many bad ones there are by reason.
        bad: the first few bad ones, for the log.
        traces: ids of the first few traces that the messages belong to, for the log.
    """

    topic: str
    marks: bytes
    good: DataFile | None
    dead: DataFile | None
    records: bytes | None
    reasons: dict[str, int]
    bad: list[Bad] = []
    unsure: bytes | None = None
    traces: list[str] = []


def to_bytes(table: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def from_bytes(content: bytes) -> pa.Table:
    """Return the table of an Arrow stream."""
    return pa.ipc.open_stream(content).read_all()


def fixed(marks: pa.Table, name: str) -> np.ndarray[Any, Any]:
    """Return a column of digests or hashes as an array of their bytes."""
    column = marks.column(name).combine_chunks()
    width = column.type.byte_width
    return np.frombuffer(column.buffers()[1], f"V{width}", count=len(column), offset=column.offset * width)
