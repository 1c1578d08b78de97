"""What a rebuild goes through: the ledger's ranges in their order, then what bronze has beyond them.

The order decides who owns an event_id, so it is the order in which silver took the positions in. Small batches of the
ledger are taken together; `Step.rank` keeps their order within.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.ledger import Partition, any_of
from streaming.tables import LEDGER, bronze
from streaming.topics import topics
from streaming.topics.admin import TopicState

if TYPE_CHECKING:
    from streaming.lake import Lake

_STEP: Final = 100_000
"""Positions of a step: they are in memory together."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Offsets of one partition that were taken in together.

    Attributes:
        topic: its name.
        at: the partition.
        first: the first offset.
        end: the one after the last.
        moment: when they were taken in.
        batch: when, as a number that grows.
    """

    topic: str
    at: Partition
    first: int
    end: int
    moment: datetime
    batch: int


@dataclass
class Step:
    """Ranges that are decided and committed together."""

    ranges: list[Range] = field(default_factory=list)

    @property
    def ends(self) -> dict[Partition, int]:
        """Where it ends, by partition."""
        found: dict[Partition, int] = {}
        for each in self.ranges:
            found[each.at] = max(each.end, found.get(each.at, 0))
        return found

    @property
    def firsts(self) -> dict[Partition, int]:
        """Where it begins, by partition."""
        found: dict[Partition, int] = {}
        for each in self.ranges:
            found[each.at] = min(each.first, found.get(each.at, each.first))
        return found

    @property
    def moment(self) -> datetime:
        """When the last of it was taken in."""
        return max(each.moment for each in self.ranges)

    @property
    def topic_ids(self) -> dict[str, str]:
        """The topics in it."""
        return {each.topic: each.at.topic_id for each in self.ranges}

    @property
    def positions(self) -> int:
        """How many offsets it covers."""
        return sum(each.end - each.first for each in self.ranges)

    def rank(self, at: Partition, offsets: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the batch in which each offset of a partition came first."""
        here = sorted((each.end, each.batch) for each in self.ranges if each.at == at)
        ends, batches = np.array([end for end, _ in here]), np.array([batch for _, batch in here], np.int64)
        return batches[np.searchsorted(ends, offsets, side="right")]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Steps between two re-creations of a topic: in each, a name means one topic.

    Attributes:
        states: the topics as they were, by name.
        steps: in order.
        replay: whether the ledger decided on these positions already.
    """

    states: dict[str, TopicState]
    steps: list[Step]
    replay: bool


def epochs(lake: Lake) -> Iterator[Epoch]:
    """Yield all that silver is to be made from, in order."""
    replayed = _ledger_ranges(lake)
    yield from _epochs([list(each) for _, each in groupby(replayed, lambda each: each.batch)], replay=True)
    yield from _epochs([[each] for each in _beyond(lake, replayed)], replay=False)


def _ledger_ranges(lake: Lake) -> list[Range]:
    rows = lake.read(LEDGER).sort_by([("batch_id", "ascending"), ("kafka_partition", "ascending")]).to_pylist()
    return [
        Range(
            topic=row["topic"],
            at=Partition(row["kafka_topic_id"], row["kafka_partition"]),
            first=row["first_offset"],
            end=row["end_offset"],
            moment=row["committed_at"],
            batch=row["batch_id"],
        )
        for row in rows
        if row["end_offset"] > row["first_offset"]
    ]


def _beyond(lake: Lake, replayed: list[Range]) -> list[Range]:
    """What bronze has after the ledger's end, older incarnations of a topic first."""
    known: dict[Partition, int] = {}
    for each in replayed:
        known[each.at] = max(each.end, known.get(each.at, 0))
    found: list[tuple[datetime, str, Partition, int, int]] = []
    for topic in topics().values():
        for at, (first, end, begun) in bronze_spans(lake, topic.table).items():
            start = known.get(at, first)
            found += [(begun, topic.name, at, low, min(low + _STEP, end)) for low in range(start, end, _STEP)]
    now, after = datetime.now(UTC), max((each.batch for each in replayed), default=0)
    return [
        Range(topic=topic, at=at, first=first, end=end, moment=now, batch=after + number)
        for number, (_, topic, at, first, end) in enumerate(sorted(found, key=lambda each: each[0]), start=1)
    ]


def bronze_spans(lake: Lake, table: str) -> dict[Partition, tuple[int, int, datetime]]:
    """Return, by partition, bronze's first offset, the one after its last, and when its topic's first message came."""
    keys = ["kafka_topic_id", "kafka_partition"]
    sums = [("kafka_offset", "min"), ("kafka_offset", "max"), ("kafka_timestamp", "min")]
    dataset = lake.dataset(bronze(table))
    parts = [
        pa.Table.from_batches([batch]).group_by(keys).aggregate(sums)
        for batch in dataset.to_batches(columns=[*keys, "kafka_offset", "kafka_timestamp"], fragment_readahead=1)
        if batch.num_rows
    ]
    if not parts:
        return {}
    total = pa.concat_tables(parts).group_by(keys).aggregate([(f"{name}_{how}", how) for name, how in sums]).to_pylist()
    begun: dict[str, datetime] = {}
    for row in total:
        moment = row["kafka_timestamp_min_min"]
        begun[row["kafka_topic_id"]] = min(moment, begun.get(row["kafka_topic_id"], moment))
    return {
        Partition(row["kafka_topic_id"], row["kafka_partition"]): (
            row["kafka_offset_min_min"],
            row["kafka_offset_max_max"] + 1,
            begun[row["kafka_topic_id"]],
        )
        for row in total
    }


def _epochs(batches: list[list[Range]], *, replay: bool) -> Iterator[Epoch]:
    steps: list[Step] = []
    names: dict[str, str] = {}
    for batch in batches:
        ids = {each.topic: each.at.topic_id for each in batch}
        if any(names.get(topic, topic_id) != topic_id for topic, topic_id in ids.items()):
            yield _epoch(steps, replay=replay)
            steps, names = [], {}
        names |= ids
        if not steps or steps[-1].positions + sum(each.end - each.first for each in batch) > _STEP:
            steps.append(Step())
        steps[-1].ranges += batch
    if steps:
        yield _epoch(steps, replay=replay)


def _epoch(steps: list[Step], *, replay: bool) -> Epoch:
    firsts: dict[str, dict[int, int]] = defaultdict(dict)
    ends: dict[str, dict[int, int]] = defaultdict(dict)
    ids: dict[str, str] = {}
    for step in steps:
        ids |= step.topic_ids
        for each in step.ranges:
            place = each.at.partition
            firsts[each.topic][place] = min(each.first, firsts[each.topic].get(place, each.first))
            ends[each.topic][place] = max(each.end, ends[each.topic].get(place, 0))
    states = {
        topic: TopicState(
            topic_id=topic_id, partitions=len(ends[topic]), first_offsets=firsts[topic], end_offsets=ends[topic]
        )
        for topic, topic_id in ids.items()
    }
    return Epoch(states=states, steps=steps, replay=replay)


def in_ranges(step: Step, topic: str) -> pc.Expression:
    """Return the condition on a topic's rows that lie in a step."""
    ends = step.ends
    mine = {at: first for at, first in step.firsts.items() if at.topic_id == step.topic_ids.get(topic)}
    return any_of(at.rows(first=first, end=ends[at]) for at, first in mine.items()) if mine else None
