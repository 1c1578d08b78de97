"""Silver rows by the million without a message: what an earlier broker's topics would have left behind."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from music_assets.bench.workload import KINDS, Truth
from streaming.lake import Lake
from streaming.sinks.tables import Write, append_arrow
from streaming.tables import LEDGER, UTC_MICROSECONDS, silver
from streaming.topics import event_topic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_assets.bench.workload import Columns, World
    from music_assets.settings import Settings
    from streaming.tables import Table

_CHUNK: Final = 1_000_000
_QUERY: Final = "bench-history"
_PARTITIONS: Final = 3


def fill(settings: Settings, world: World, rows: int) -> Truth:
    """Make silver and the ledger hold the first `rows` events of a world.

    Their positions are of topics that the broker no longer has, so that a stream of new messages begins at its own
    topics' first offset. The claim index is left to the job, which builds it from silver at its start.
    """
    lake = Lake(settings.storage)
    lake.create_all()
    ends = np.zeros((len(KINDS), _PARTITIONS), np.int64)
    for version, first in enumerate(range(0, rows, _CHUNK), start=1):
        columns = world.columns(np.arange(first, min(first + _CHUNK, rows), dtype=np.int64))
        entries: list[dict[str, Any]] = []
        write = Write(expected={_QUERY: version - 1 or None}, leaves={_QUERY: version}, note={})
        for kind, event_type in enumerate(KINDS):
            table = silver(event_topic(event_type).table)
            mine = columns.take(columns.kind == kind)
            partition, offset = _positions(world, mine, ends[kind])
            new = silver_rows(world, mine, table, partition=partition, offset=offset)
            append_arrow(new, table, settings.storage, write=write)
            entries += _entries(world, table, version, before=ends[kind], counts=np.bincount(partition, minlength=3))
        append_arrow(pa.Table.from_pylist(entries, LEDGER.schema), LEDGER, settings.storage, write=write)
    return Truth(stored=rows, duplicate=0, dead_lettered=0)


def topic_id(table: Table) -> str:
    """Return the id of the topic that filled a table before: 128 bits in URL-safe base64, as the broker's own."""
    return base64.urlsafe_b64encode(hashlib.blake2b(table.name.encode(), digest_size=16).digest()).decode().rstrip("=")


def _positions(world: World, columns: Columns, ends: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Partition of each row by its listener, and offsets that go on from `ends`."""
    partition = world.partition_of[columns.listener]
    offset = np.empty(len(partition), np.int64)
    for number in range(_PARTITIONS):
        where = partition == number
        offset[where] = ends[number] + np.arange(int(where.sum()))
    return partition, offset


def _entries(
    world: World, table: Table, version: int, *, before: NDArray[np.int64], counts: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """The ledger's rows of a chunk; `before` moves on."""
    entries = []
    for number, count in enumerate(counts.tolist()):
        first = int(before[number])
        before[number] += count
        about = {"query": _QUERY, "batch_id": version, "topic": table.topic, "kafka_topic_id": topic_id(table)}
        outcome = {"received": count, "stored": count, "duplicate": 0, "dead_lettered": 0}
        none = {"event_id_conflicts": 0, "erased": 0}
        place = {"kafka_partition": number, "first_offset": first, "end_offset": first + count}
        entries.append({**about, **place, **outcome, **none, "committed_at": world.anchor})
    return entries


def silver_rows(
    world: World,
    columns: Columns,
    table: Table,
    *,
    partition: NDArray[np.int32] | None = None,
    offset: NDArray[np.int64] | None = None,
) -> pa.Table:
    """Return events as rows of their silver table.

    Args:
        world: where they come from.
        columns: the events, all of the table's kind.
        table: the silver table.
        partition: of each row; by default 0.
        offset: of each row; by default they are counted.
    """
    count = len(columns.numbers)
    listeners, nothing = pa.array(world.listeners), pa.nulls(count)
    kind = KINDS[int(columns.kind[0])].value if count else ""
    known: dict[str, Any] = {
        "event_id": world.uuids(columns.numbers),
        "user_id": listeners.take(pa.array(columns.listener)),
        "event_type": pa.repeat(kind, count),
        "item_id": pc.binary_join_element_wise("track", pa.array(columns.item).cast(pa.string()), ":"),
        "timestamp": pa.array(columns.micros).cast(UTC_MICROSECONDS),
        "rating": pa.array(columns.rating) if kind == "rating" else nothing,
        "ms_played": pa.array(columns.ms_played) if kind == "listen" else nothing,
        "source": pa.repeat("bench", count),
        "schema_version": pa.array(np.ones(count, np.int64)),
        "kafka_topic_id": pa.repeat(topic_id(table), count),
        "kafka_partition": pa.array(np.zeros(count, np.int32) if partition is None else partition),
        "kafka_offset": pa.array(np.arange(count) if offset is None else offset),
        "ingested_at": pa.array([world.anchor], UTC_MICROSECONDS).take(pa.array(np.zeros(count, np.int64))),
    }
    made = {field.name: known.get(field.name, nothing) for field in table.schema}
    return pa.table({name: column.cast(table.schema.field(name).type) for name, column in made.items()})
