"""How far each partition of a topic has been loaded, and the lake filters that follow from it."""

from __future__ import annotations

from collections import defaultdict
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import psycopg

    from streaming.tables import Table

Watermark = dict[tuple[str, int], int]
"""End offset (first one not loaded) by topic id and partition."""

_SELECT = "select kafka_topic_id, kafka_partition, end_offset from ops.load_watermark where table_name = %s"
_UPSERT = """
    insert into ops.load_watermark (table_name, kafka_topic_id, kafka_partition, end_offset, loaded_at)
    values (%s, %s, %s, %s, now())
    on conflict (table_name, kafka_topic_id, kafka_partition)
    do update set end_offset = excluded.end_offset, loaded_at = excluded.loaded_at
"""

_topic_id, _partition, _offset = (pc.field(name) for name in ("kafka_topic_id", "kafka_partition", "kafka_offset"))


def read(conn: psycopg.Connection[tuple[Any, ...]], table: Table) -> Watermark:
    """Return how far a table has been loaded."""
    rows = conn.execute(_SELECT, (table.name,)).fetchall()
    return {(topic, partition): end for topic, partition, end in rows}


def write(conn: psycopg.Connection[tuple[Any, ...]], table: Table, watermark: Watermark) -> None:
    """Store how far a table has been loaded."""
    values = [(table.name, topic, partition, end) for (topic, partition), end in watermark.items()]
    with conn.cursor() as cursor:
        cursor.executemany(_UPSERT, values)


def advance(watermark: Watermark, rows: pa.Table) -> Watermark:
    """Return the watermark after `rows` (with their position columns) were loaded as well."""
    reached = dict(watermark)
    ends = rows.group_by(["kafka_topic_id", "kafka_partition"]).aggregate([("kafka_offset", "max")])
    for row in ends.to_pylist():
        place = (row["kafka_topic_id"], row["kafka_partition"])
        reached[place] = max(reached.get(place, 0), row["kafka_offset_max"] + 1)
    return reached


def beyond(watermark: Watermark) -> pc.Expression | None:
    """Return the filter for rows not loaded yet; None means every row.

    A partition or topic id without a watermark counts as new. That is written as ranges, because a
    negation could not be decided from the statistics of a file and every file would be read again.
    """
    if not watermark:
        return None
    partitions: dict[str, set[int]] = defaultdict(set)
    for topic, partition in watermark:
        partitions[topic].add(partition)
    new = [
        (topic, partition, end) for (topic, partition), end in watermark.items()
    ] + [
        (topic, partition, 0) for topic, known in partitions.items() for partition in set(range(max(known))) - known
    ]  # fmt: skip
    later = [_at(topic, partition) & (_offset >= end) for topic, partition, end in new]
    added = [(_topic_id == topic) & (_partition > max(known)) for topic, known in partitions.items()]
    other_topic = reduce(pc.Expression.__and__, [_topic_id != topic for topic in partitions])
    return reduce(pc.Expression.__or__, [*later, *added, other_topic])


def up_to(watermark: Watermark) -> pc.Expression:
    """Return the filter for the rows that a watermark says are loaded."""
    parts = [_at(topic, partition) & (_offset < end) for (topic, partition), end in watermark.items()]
    return reduce(pc.Expression.__or__, parts, pc.scalar(value=False))


def _at(topic: str, partition: int) -> pc.Expression:
    return (_topic_id == topic) & (_partition == partition)
