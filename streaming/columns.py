"""The parser over many messages of a topic at once: columns out instead of rows.

The same verdicts as `streaming.parse.parse`, several times as fast: a plain message is decoded without looking for
control characters, which JSON can only hold behind a backslash (or as DEL), and what can be checked on whole columns
is. Whatever is not plain goes through `parse`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_digest, xxh3_128_digest

from streaming.events import EARLIEST, MAX_FUTURE, NO_CONTROL, normalise_item_id
from streaming.parse import MAX_BYTES, Reason, Rejection, Row, parse
from streaming.structs import struct_of
from streaming.tables import UTC_MICROSECONDS, arrow_schema
from streaming.topics import topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.topics import Topic

_PLAIN_ITEM: Final = "^(track|artist|album):[!-~]"
"""An item id that is written out: what is not (a bare id, a blank one, an unknown kind) takes the long way."""

_START: Final = datetime(1970, 1, 1, tzinfo=UTC)

DIGEST_BYTES: Final = 16
HASH_BYTES: Final = 8


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What a run of one topic's messages says.

    Attributes:
        rows: the valid ones, the model's fields as columns, times in UTC; where the topic is compacted, `deleted` too.
        at: of each row, the index of its message.
        digests: of each row's event id and topic, 128 bits of XXH3; none where rows have no event id.
        listeners: hash of each row's listener, 64 bits of BLAKE2b.
        payloads: hash of each row's whole content, 64 bits of XXH3; with the listener's it tells a conflict from a
            copy.
        rejected: index and reason of the others.
    """

    rows: pa.Table
    at: np.ndarray[Any, np.dtype[np.int64]]
    digests: list[bytes]
    listeners: list[bytes]
    payloads: list[bytes]
    rejected: list[tuple[int, Rejection]]


def read_columns(topic: str, values: pa.BinaryArray, keys: pa.BinaryArray, *, now: datetime) -> Columns:
    """Read messages of one topic.

    Args:
        topic: name of a registered topic.
        values: the messages as they came.
        keys: their keys, as long as `values`.
        now: the time against which `future_time` is judged, with a zone.
    """
    return _readers()[topic].read(values, keys, now)


class _Reader:
    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._schema = arrow_schema(topic.model)
        self._prefix = _prefix(topic.name)
        self._newest = max(topic.versions)
        self._decode = msgspec.json.Decoder(struct_of(topic.models[self._newest], ignore=NO_CONTROL)).decode

    def read(self, values: pa.BinaryArray, keys: pa.BinaryArray, now: datetime) -> Columns:
        plain, index = self._plain(values)
        rows = self._table(plain)
        odd = self._odd(rows, now) if plain else np.zeros(0, bool)
        if odd.any():
            rows, index = rows.filter(pa.array(~odd)), index[~odd]
            plain = [struct for struct, drop in zip(plain, odd.tolist(), strict=True) if not drop]
        slow, slow_at, rejected = self._one_by_one(values, keys, _others(index, len(values)), now)
        if slow:
            rows = pa.concat_tables([rows, self._from_rows(slow)])
            index = np.concatenate([index, np.array(slow_at, np.int64)])
        marks = [mark_of(self._topic.name, row) for row in slow if "event_id" in row]
        ids = map(self._prefix.__add__, map(str.encode, map(attrgetter("event_id"), plain)))
        return Columns(
            rows=rows,
            at=index,
            digests=[*map(_digest, ids), *(mark[0] for mark in marks)],
            listeners=[*_listener_hashes(list(map(attrgetter("user_id"), plain))), *(mark[1] for mark in marks)],
            payloads=[*map(_payload, map(_encode, plain)), *(mark[2] for mark in marks)],
            rejected=rejected,
        )

    def _plain(self, values: pa.BinaryArray) -> tuple[list[Any], np.ndarray[Any, np.dtype[np.int64]]]:
        """Decode the plain messages; return what was read and the index of each."""
        if self._topic.event_type is None:
            return [], np.zeros(0, np.int64)
        at = np.flatnonzero(~_unusual(values))
        texts = (values if len(at) == len(values) else values.take(pa.array(at))).to_pylist()
        structs: list[Any] = []
        failed: list[int] = []
        decoded = map(self._decode, map(bytes.decode, texts))
        while len(structs) + len(failed) < len(texts):
            try:
                # All in one call, which keeps what it has when a message fails; the next one goes on behind that.
                structs.extend(decoded)
            except (ValueError, RecursionError):
                failed.append(len(structs) + len(failed))
        return structs, np.delete(at, failed)

    def _odd(self, rows: pa.Table, now: datetime) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which rows need a second look: another version or type, an implausible time, no id, an item id in short."""
        time = rows.column("timestamp")
        fine = [
            pc.equal(rows.column("schema_version"), self._newest),
            pc.equal(rows.column("event_type"), str(self._topic.event_type)),
            pc.is_valid(rows.column("event_id")),
            pc.match_substring_regex(rows.column("item_id"), _PLAIN_ITEM),
            pc.greater_equal(time, pa.scalar(EARLIEST, UTC_MICROSECONDS)),
            pc.less_equal(time, pa.scalar(now + MAX_FUTURE, UTC_MICROSECONDS)),
        ]
        every = fine[0]
        for each in fine[1:]:
            every = pc.and_(every, each)
        odd: np.ndarray[Any, np.dtype[np.bool_]] = ~every.to_numpy()
        return odd

    def _one_by_one(
        self, values: pa.BinaryArray, keys: pa.BinaryArray, indexes: Sequence[int], now: datetime
    ) -> tuple[list[Row], list[int], list[tuple[int, Rejection]]]:
        rows, at, rejected = [], [], []
        for index in indexes:
            result = _read_one(self._topic, keys[index].as_py(), values[index].as_py(), now=now)
            if isinstance(result, Rejection):
                rejected.append((index, result))
            else:
                rows.append(result)
                at.append(index)
        return rows, at, rejected

    def _table(self, structs: list[Any]) -> pa.Table:
        fields = self._fields()
        if not structs:
            return fields.empty_table()
        columns = (pa.array(list(map(attrgetter(field.name), structs)), field.type) for field in fields)
        return pa.Table.from_arrays(list(columns), schema=fields)

    def _from_rows(self, rows: list[Row]) -> pa.Table:
        fields = self._fields()
        return pa.Table.from_arrays(
            [pa.array([row.get(field.name) for row in rows], field.type) for field in fields], schema=fields
        )

    def _fields(self) -> pa.Schema:
        fields = [field.with_nullable(nullable=True) for field in self._schema]
        return pa.schema([*fields, pa.field("deleted", pa.bool_())] if self._topic.compacted else fields)


def _others(index: np.ndarray[Any, np.dtype[np.int64]], count: int) -> list[int]:
    other = np.ones(count, bool)
    other[index] = False
    return np.flatnonzero(other).tolist()


def _unusual(values: pa.BinaryArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which messages are missing, too long, nested, or hold an escape or DEL: told from the bytes of all at once."""
    _, ends, content = values.buffers()
    edges = np.frombuffer(ends, np.int32)[values.offset : values.offset + len(values) + 1]
    unusual: np.ndarray[Any, np.dtype[np.bool_]] = np.diff(edges) > MAX_BYTES
    if values.null_count:
        unusual |= values.is_null().to_numpy(zero_copy_only=False)
    text = np.frombuffer(content or b"", np.uint8)[edges[0] : edges[-1]]
    starts = edges[:-1] - edges[0]
    # With this bit set an opening bracket is a brace.
    signs = np.flatnonzero((text == ord("\\")) | (text == 0x7F) | ((text | 0x20) == ord("{")))
    rows = np.searchsorted(starts, signs, side="right") - 1
    opening = (text[signs] == ord("{")) & (signs == starts[rows])
    unusual[rows[~opening]] = True
    return unusual


def mark_of(topic: str, row: Row) -> tuple[bytes, bytes, bytes]:
    """Return the digest and the hashes of a row, as it was parsed or as silver holds it."""
    defaults = _defaults(topic)
    content = {name: row[name] for name in defaults if row[name] != defaults[name]}
    return (
        _digest(_prefix(topic) + row["event_id"].encode()),
        listener_hash(row["user_id"]),
        _payload(_encode(content)),
    )


def marks_of(topic: str, rows: pa.RecordBatch) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return the digests and hashes of silver's rows, as `mark_of` does of one."""
    defaults = _defaults(topic)
    columns = [_plain_values(rows.column(name)) for name in defaults]
    known = list(defaults.items())
    contents = (
        {name: value for (name, default), value in zip(known, row, strict=True) if value != default}
        for row in zip(*columns, strict=True)
    )
    ids = map(_prefix(topic).__add__, map(str.encode, rows.column("event_id").to_pylist()))
    listeners = _listener_hashes(rows.column("user_id").to_pylist())
    return list(map(_digest, ids)), listeners, list(map(_payload, map(_encode, contents)))


def _plain_values(column: pa.Array) -> list[Any]:
    """A column's values; Arrow takes far longer for a time with a zone than for its number."""
    if column.type != UTC_MICROSECONDS:
        return column.to_pylist()  # type: ignore[no-any-return]
    return [None if at is None else _START + timedelta(microseconds=at) for at in column.cast(pa.int64()).to_pylist()]


@cache
def _defaults(topic: str) -> dict[str, Any]:
    """The model's fields in order with their defaults: what a struct leaves out, a row leaves out too."""
    return {name: info.get_default() for name, info in topics()[topic].model.model_fields.items()}


_encode: Final = msgspec.msgpack.Encoder().encode
"""Times become instants, whatever their zone was."""


_digest: Final = xxh3_128_digest
"""No secret and no defence against a chosen collision is needed: whoever wants another's id can send that id."""

_payload: Final = xxh3_64_digest


def _prefix(topic: str) -> bytes:
    return topic.encode() + b"\x00"


@cache
def _listener_cache() -> dict[str, bytes]:
    return {}


_LISTENERS_CACHED: Final = 200_000


def listener_hash(listener: str) -> bytes:
    """Return 64 bits of a listener id's BLAKE2b: says whether two are the same, not who it is."""
    known = _listener_cache()
    found = known.get(listener)
    if found is None:
        if len(known) >= _LISTENERS_CACHED:
            known.clear()
        # A lone surrogate cannot come out of the parser, but a key may hold any bytes.
        # What is erased is found by this one: it must not be possible to choose an id that hits another's.
        content = listener.encode(errors="surrogateescape")
        found = known[listener] = hashlib.blake2b(content, digest_size=HASH_BYTES).digest()
    return found


def _listener_hashes(listeners: list[str]) -> list[bytes]:
    known = list(map(_listener_cache().get, listeners))
    return [found or listener_hash(listener) for found, listener in zip(known, listeners, strict=True)]


def _read_one(topic: Topic, key: bytes | None, value: bytes | None, *, now: datetime) -> Row | Rejection:
    """Parse one message of a topic that may be compacted: there, no value means that the key is gone."""
    if value is not None or not topic.compacted:
        return parse(topic.name, value, now=now)
    try:
        return {"item_id": normalise_item_id((key or b"").decode()), "deleted": True}
    except ValueError:
        return Rejection(Reason.EMPTY_MESSAGE, None, "the message has neither a value nor the key of an item")


@cache
def _readers() -> dict[str, _Reader]:
    return {topic.name: _Reader(topic) for topic in topics().values()}
