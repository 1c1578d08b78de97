"""What a start reads from the tables: claims the index lacks, and rows an unfinished batch left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from streaming.claims import ClaimIndex, Claims, as_digests
from streaming.columns import marks_of
from streaming.ledger import Partition, any_of
from streaming.tables import ERASED, dead_letters, silver
from streaming.topics import log_topics, topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyarrow.dataset import Fragment

    from streaming.lake import Lake
    from streaming.tables import Table
    from streaming.topics import Topic

Written = dict[tuple[str, int, int], str]
"""Outcome by position."""

_POSITION = ["kafka_topic_id", "kafka_partition", "kafka_offset"]
_BULK: Final = 1_000_000
"""Claims of one start from which the index is put in order before the first batch."""

log = structlog.get_logger()


def read_written(lake: Lake, ends: Mapping[Partition, int]) -> Written:
    """Return the positions beyond the ledger's end that are in silver, in the dead letters or erased already.

    Args:
        lake: the lake.
        ends: where the ledger ends, by partition.
    """
    written: Written = {}
    beyond = any_of(at.rows(first=end) for at, end in ends.items())
    for topic in topics().values():
        sources = [("dead_lettered", dead_letters(topic.name))]
        if not topic.compacted:
            sources.append(("stored", silver(topic.table)))
        for outcome, table in sources:
            for row in lake.read(table, _POSITION, beyond).to_pylist():
                written[row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"]] = outcome
    for row in lake.read(ERASED, [*_POSITION, "outcome"], beyond).to_pylist():
        written[row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"]] = row["outcome"]
    if written:
        log.warning("unfinished_batch_found", rows=len(written))
    return written


def catch_up(index: ClaimIndex, lake: Lake, ends: Mapping[Partition, int]) -> int:
    """Make the index hold a claim for every row of silver; return how many it read.

    Data files that it knows from the last start are not looked into, so a start costs what has changed since.

    An index that knows more than the ledger is of another lake, and is made anew.
    """
    known = index.ends()
    if any(known.get(at, 0) > end for at, end in ends.items()):
        log.warning("claims_beyond_ledger")
        index.clear()
        known = {}
    new = ~any_of(at.rows(end=end) for at, end in known.items()) if known else None
    old, files, loaded = index.files(), set[str](), 0
    for topic in log_topics():
        for name, fragment in _fragments(lake, silver(topic.table)):
            files.add(name)
            if name not in old:
                loaded += sum(index.load(claims) for claims in _claims(fragment, topic, new))
    index.know(files)
    # Rows beyond the ledger's end belong to a batch that is not done: they are read again at the next start.
    index.add([], ends)
    if loaded >= _BULK:
        index.settle()
    if loaded:
        log.info("claims_loaded", rows=loaded)
    return loaded


def _fragments(lake: Lake, table: Table) -> Iterator[tuple[str, Fragment]]:
    """A table's data files, under names that no other table's have."""
    for fragment in lake.dataset(table).get_fragments():
        yield f"{table.id}/{fragment.path}", fragment


def _claims(fragment: Fragment, topic: Topic, where: pc.Expression | None) -> Iterator[Claims]:
    for batch in fragment.to_batches(schema=silver(topic.table).schema, filter=where):
        for topic_id in batch.column("kafka_topic_id").unique().to_pylist():
            yield claims_of(topic.name, topic_id, batch.filter(pc.equal(batch.column("kafka_topic_id"), topic_id)))


def claims_of(topic: str, topic_id: str, rows: pa.RecordBatch) -> Claims:
    """Return the claims of silver's rows."""
    digests, listeners, payloads = marks_of(topic, rows)
    return Claims(
        topic_id,
        as_digests(digests),
        np.frombuffer(b"".join(listeners), "V8"),
        np.frombuffer(b"".join(payloads), "V8"),
        rows.column("kafka_partition").to_numpy(),
        rows.column("kafka_offset").to_numpy(),
    )
