"""The first half of a batch: messages to data files that no commit names yet, and a mark for each message.

It runs wherever the messages are: in Spark's tasks, on any machine, or in the process that consumes. The second half
(`streaming.jobs.intake`) decides what each position is from the marks alone, and commits.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.bloom import BloomView, halves, look, repeated
from streaming.columns import Columns, listener_hash, read_columns
from streaming.pieces import MARKS, RAW, Bad, Piece, fixed, to_bytes
from streaming.sinks.files import write_data_file
from streaming.tables import UTC_MICROSECONDS, Table, bronze, dead_letters, silver
from streaming.topics import topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from streaming.storage import Storage

_ROWS_PER_FILE: Final = 250_000
_ROWS_AT_ONCE: Final = 4_000
"""Read together: fewer cost more calls, more fall out of the processor's cache between two columns."""
_BYTES_AT_ONCE: Final = 32 << 20
_ROWS_TO_DOUBT: Final = 20_000
"""A smaller file is written anew without its duplicates in no time; a second one beside it would cost readers more."""
_TRACES_LOGGED: Final = 5
_BAD_LOGGED: Final = 10
"""Of a piece: a log that holds every message of a broken producer is of no use to anybody."""


def stage(
    batches: Iterable[pa.RecordBatch],
    *,
    topic_ids: Mapping[str, str],
    now: datetime,
    storage: Storage,
    claimed: Path | None = None,
) -> Iterator[Piece]:
    """Stage messages; holds at most a file's rows of each topic in memory.

    Args:
        batches: columns of `RAW`, of any topics.
        topic_ids: the broker's id of each topic.
        now: when this batch is taken in.
        storage: where the lake lies.
        claimed: folder of the filter of the event ids that are claimed, where this machine has it.
    """
    filter_ = look(claimed) if claimed is not None else None
    waiting: dict[str, _Part] = defaultdict(_Part)
    for batch in _grouped(batches):
        for topic, messages in _by_topic(batch):
            part = waiting[topic]
            part.note_traces(messages.column("headers"))
            part.add(*_read(topic, messages, topic_ids[topic], now))
            if part.count >= _ROWS_PER_FILE:
                yield waiting.pop(topic).piece(topic, storage, filter_)
    for topic, part in waiting.items():
        yield part.piece(topic, storage, filter_)


def _grouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Make batches of a good size: small ones are put together, large ones cut."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield from _cut(group)
            group, rows, size = [], 0, 0
    if group:
        yield from _cut(group)


def _cut(group: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    whole = group[0] if len(group) == 1 else pa.concat_batches(group)
    for start in range(0, whole.num_rows, _ROWS_AT_ONCE):
        yield whole.slice(start, _ROWS_AT_ONCE)


def stage_raw(
    batches: Iterable[pa.RecordBatch], *, topic_ids: Mapping[str, str], forgotten: frozenset[bytes], storage: Storage
) -> Iterator[Piece]:
    """Stage messages as they came, for bronze.

    Args:
        batches: columns of `RAW`, of any topics.
        topic_ids: the broker's id of each topic.
        forgotten: hashes of the listeners of whom nothing is kept; their messages are in the marks, not in the file.
        storage: where the lake lies.
    """
    waiting: dict[str, list[pa.Table]] = defaultdict(list)
    for batch in batches:
        for topic, messages in _by_topic(batch):
            waiting[topic].append(_raw(messages, topic_ids[topic]))
            if sum(part.num_rows for part in waiting[topic]) >= _ROWS_PER_FILE:
                yield _raw_piece(topic, waiting.pop(topic), forgotten, storage)
    for topic, parts in waiting.items():
        yield _raw_piece(topic, parts, forgotten, storage)


def _raw(messages: pa.RecordBatch, topic_id: str) -> pa.Table:
    table = with_headers(pa.Table.from_batches([messages]))
    return table.append_column("kafka_topic_id", pa.repeat(pa.scalar(topic_id, pa.string()), table.num_rows))


def with_headers(messages: pa.Table) -> pa.Table:
    """Return messages with their headers as a list, whichever way they came."""
    at = messages.schema.get_field_index("headers")
    column = messages.column(at)
    if column.type != pa.string():
        return messages
    values = [None if text is None else _decode_headers(text) for text in column.to_pylist()]
    kind = RAW.field("headers")
    return messages.set_column(at, kind, pa.array(values, kind.type))


class _Header(msgspec.Struct):
    key: str
    value: bytes | None = None


_read_headers: Final = msgspec.json.Decoder(list[_Header]).decode


def _decode_headers(text: str) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(header) for header in _read_headers(text)]


def _raw_piece(topic: str, parts: list[pa.Table], forgotten: frozenset[bytes], storage: Storage) -> Piece:
    messages = pa.concat_tables(parts)
    gone = np.zeros(messages.num_rows, bool)
    if forgotten:
        pairs = zip(messages.column("value").to_pylist(), messages.column("key").to_pylist(), strict=True)
        gone = np.array([owner_of(value, key) in forgotten for value, key in pairs])
    kept = messages.filter(pa.array(~gone))
    marks = {
        "partition": messages.column("kafka_partition"), "offset": messages.column("kafka_offset"),
        "dead": pa.array(gone),
    }  # fmt: skip
    return Piece(
        topic=topic,
        marks=to_bytes(_fill(marks, messages.num_rows)),
        good=write_data_file(kept, bronze(topics()[topic].table), storage) if kept.num_rows else None,
        dead=None,
        records=None,
        reasons={},
    )


class _Part:
    """Rows of one topic that wait for their file."""

    def __init__(self) -> None:
        self.count = 0
        self._good: list[pa.Table] = []
        self._dead: list[pa.Table] = []
        self._marks: list[pa.Table] = []
        self._dead_marks: list[pa.Table] = []
        self._traces: dict[str, None] = {}

    def note_traces(self, headers: pa.Array) -> None:
        """Note the first few traces that messages belong to: enough to find a batch by a request."""
        if len(self._traces) >= _TRACES_LOGGED or headers.null_count == len(headers):
            return
        some = with_headers(pa.table({"headers": headers.drop_null().slice(0, _TRACES_LOGGED)}))
        for each in some.column("headers").to_pylist():
            if (trace_id := _trace_id(each)) is not None and len(self._traces) < _TRACES_LOGGED:
                self._traces[trace_id] = None

    def add(self, good: pa.Table, dead: pa.Table, marks: pa.Table, dead_marks: pa.Table) -> None:
        self.count += good.num_rows + dead.num_rows
        for held, more in (
            (self._good, good), (self._dead, dead), (self._marks, marks), (self._dead_marks, dead_marks)
        ):  # fmt: skip
            if more.num_rows:
                held.append(more)

    def piece(self, topic: str, storage: Storage, claimed: BloomView | None) -> Piece:
        compacted = topics()[topic].compacted
        good = pa.concat_tables(self._good) if self._good else None
        dead = pa.concat_tables(self._dead) if self._dead else None
        unsure = None
        if good and claimed and not compacted and good.num_rows >= _ROWS_TO_DOUBT:
            marks = pa.concat_tables(self._marks)
            doubt = pa.array(_doubted(marks, claimed))
            sure = pc.invert(doubt)
            unsure, good = good.filter(doubt), good.filter(sure)
            self._marks = [marks.filter(sure), marks.filter(doubt)]
        return Piece(
            topic=topic,
            marks=to_bytes(pa.concat_tables([*self._marks, *self._dead_marks])),
            unsure=to_bytes(unsure) if unsure else None,
            good=write_data_file(good, silver_of(topic), storage) if good and not compacted else None,
            dead=write_data_file(dead, dead_letters(topic), storage) if dead else None,
            records=to_bytes(good) if good and compacted else None,
            reasons=_counts(dead) if dead else {},
            bad=_first_bad(dead) if dead else [],
            traces=list(self._traces),
        )


def _doubted(marks: pa.Table, claimed: BloomView) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows may have an event id that was there before: the decision knows, and this spares it most rows."""
    keys = halves(fixed(marks, "digest"))
    doubted: np.ndarray[Any, np.dtype[np.bool_]] = claimed.maybe(keys) | repeated(keys)
    return doubted


def silver_of(topic: str) -> Table:
    """Return the silver table that a topic fills."""
    return silver(topics()[topic].table)


def _counts(dead: pa.Table) -> dict[str, int]:
    return {each["values"]: each["counts"] for each in dead.column("reason").value_counts().to_pylist()}


def _first_bad(dead: pa.Table) -> list[Bad]:
    return [
        Bad(
            partition=row["kafka_partition"],
            offset=row["kafka_offset"],
            reason=row["reason"],
            field=row["field"],
            trace_id=_trace_id(row["headers"]),
        )
        for row in dead.slice(0, _BAD_LOGGED).to_pylist()
    ]


def _trace_id(headers: list[dict[str, Any]] | None) -> str | None:
    """The trace id of a W3C `traceparent` header: version, trace id, parent id, flags."""
    for header in headers or []:
        if header["key"] == "traceparent":
            parts = (header["value"] or b"").decode(errors="replace").split("-")
            return parts[1] if len(parts) == 4 else None
    return None


def _by_topic(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Split a batch, whose topics come in runs, without moving a row."""
    names = batch.column("topic").dictionary_encode()
    codes = names.indices.to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    for start, end in itertools.pairwise(starts):
        if end > start:
            yield names.dictionary[int(codes[start])].as_py(), batch.slice(start, end - start)


def _read(
    topic: str, messages: pa.RecordBatch, topic_id: str, now: datetime
) -> tuple[pa.Table, pa.Table, pa.Table, pa.Table]:
    """Return valid rows, dead letters, and the marks of both."""
    found = read_columns(topic, messages.column("value"), messages.column("key"), now=now)
    good = found.rows
    places = messages.select(["kafka_partition", "kafka_offset"]).take(pa.array(found.at))
    constant = {
        "kafka_topic_id": pa.array([topic_id], pa.string()), "ingested_at": pa.array([now], UTC_MICROSECONDS)
    }  # fmt: skip
    for name in places.schema.names:
        good = good.append_column(name, places.column(name))
    for name, value in constant.items():
        good = good.append_column(name, pa.repeat(value[0], good.num_rows))
    dead = _dead_letters(messages, found, constant)
    return good, dead, _marks(places, found), _dead_marks(dead)


def _dead_letters(messages: pa.RecordBatch, found: Columns, constant: Mapping[str, pa.Array]) -> pa.Table:
    at = [index for index, _ in found.rejected]
    dead = with_headers(pa.Table.from_batches([messages.take(pa.array(at, pa.int64()))]))
    for place, name in enumerate(("reason", "field", "detail")):
        dead = dead.append_column(name, pa.array([rejection[place] for _, rejection in found.rejected], pa.string()))
    for name, value in constant.items():
        dead = dead.append_column(name, pa.repeat(value[0], dead.num_rows))
    return dead


def _marks(places: pa.RecordBatch, found: Columns) -> pa.Table:
    count = places.num_rows
    columns: dict[str, Any] = {
        "partition": places.column("kafka_partition"),
        "offset": places.column("kafka_offset"),
        "dead": pa.repeat(pa.scalar(value=False), count),
    }
    if found.digests:
        columns |= {"digest": found.digests, "listener": found.listeners, "payload": found.payloads}
        columns["happened_at"] = found.rows.column("timestamp").cast(pa.int64())
    return _fill(columns, count)


def _dead_marks(dead: pa.Table) -> pa.Table:
    count = dead.num_rows
    owners = list(map(owner_of, dead.column("value").to_pylist(), dead.column("key").to_pylist()))
    return _fill(
        {
            "partition": dead.column("kafka_partition"),
            "offset": dead.column("kafka_offset"),
            "dead": pa.repeat(pa.scalar(value=True), count),
            # What a listener sent is theirs, readable or not.
            "listener": owners,
        },
        count,
    )


class _Owned(msgspec.Struct):
    user_id: str


_read_owner: Final = msgspec.json.Decoder(_Owned).decode


def owner_of(value: bytes | None, key: bytes | None) -> bytes | None:
    """Return the hash of the listener whose message it is: as it says itself, otherwise by its key."""
    try:
        return listener_hash(_read_owner(value or b"").user_id)
    except (ValueError, RecursionError):
        return None if key is None else listener_hash(key.decode(errors="surrogateescape"))


def _fill(columns: Mapping[str, Any], count: int) -> pa.Table:
    arrays = [
        columns[field.name]
        if isinstance(columns.get(field.name), pa.Array | pa.ChunkedArray)
        else pa.array(columns.get(field.name, [None] * count), field.type)
        for field in MARKS
    ]
    return pa.Table.from_arrays(arrays, schema=MARKS)
