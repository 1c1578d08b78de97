"""What a start reads from the tables: claims the index lacks, and rows an unfinished batch left behind."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import structlog

from streaming.claims import Claim, ClaimIndex, hashes
from streaming.ledger import Partition
from streaming.tables import tables
from streaming.topics import log_topics, topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streaming.lake import Lake
    from streaming.tables import Table
    from streaming.topics import Topic

Written = dict[tuple[str, int, int], str]
"""Outcome by position."""

_POSITION = ["kafka_topic_id", "kafka_partition", "kafka_offset"]

log = structlog.get_logger()


def read_written(lake: Lake, ends: Mapping[Partition, int]) -> Written:
    """Return the positions beyond the ledger's end that are in silver or in the dead letters already.

    Args:
        lake: the lake.
        ends: where the ledger ends, by partition.
    """
    written: Written = {}
    beyond = reduce(or_, (_at(at) & (pc.field("kafka_offset") >= end) for at, end in ends.items()))
    for topic in topics().values():
        sources = [("dead_lettered", tables()[f"deadletter/{topic.name}"])]
        if not topic.compacted:
            sources.append(("stored", tables()[f"silver/{topic.table}"]))
        for outcome, table in sources:
            for row in lake.read(table, _POSITION, beyond).to_pylist():
                written[row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"]] = outcome
    if written:
        log.warning("unfinished_batch_found", rows=len(written))
    return written


def catch_up(index: ClaimIndex, lake: Lake, ends: Mapping[Partition, int]) -> int:
    """Make the index hold a claim for every row of silver; return how many it read.

    An index that knows more than the ledger is of another lake, and is made anew.
    """
    known = index.ends()
    if any(known.get(at, 0) > end for at, end in ends.items()):
        log.warning("claims_beyond_ledger")
        index.clear()
        known = {}
    loaded = sum(index.load(topic.name, _claims(lake, topic, known)) for topic in log_topics())
    # Rows beyond the ledger's end belong to a batch that is not done: they are read again at the next start.
    index.add({}, ends)
    if loaded:
        log.info("claims_loaded", rows=loaded)
    return loaded


def _claims(lake: Lake, topic: Topic, known: Mapping[Partition, int]) -> Iterator[Claim]:
    table: Table = tables()[f"silver/{topic.table}"]
    fields = list(topic.model.model_fields)
    where = None
    if known:
        where = ~reduce(or_, (_at(at) & (pc.field("kafka_offset") < end) for at, end in known.items()))
    for batch in lake.batches(table, where):
        for row, position in zip(
            batch.select(fields).to_pylist(), zip(*(batch.column(name).to_pylist() for name in _POSITION), strict=True),
            strict=True,
        ):  # fmt: skip
            listener, payload = hashes(row)
            yield Claim(row["event_id"], position, listener, payload)


def _at(at: Partition) -> pc.Expression:
    return (pc.field("kafka_topic_id") == at.topic_id) & (pc.field("kafka_partition") == at.partition)
