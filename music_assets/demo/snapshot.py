"""What the lake holds at one moment, counted: taken before and after, the difference is what a run did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from streaming import ledger
from streaming.ledger import Totals
from streaming.tables import LEDGER, silver, tables
from streaming.topics import catalog_topics, event_topics

if TYPE_CHECKING:
    from streaming.lake import Lake
    from streaming.topics.admin import TopicState


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Counts by topic.

    Attributes:
        totals: the ledger's outcomes.
        rows: rows in silver, of the topics of events.
        event_ids: different event ids among them.
        dead_letters: rows in the dead letters by reason.
        items: item ids in silver, of the catalogue's topics.
    """

    totals: Mapping[str, Totals] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    event_ids: Mapping[str, int] = field(default_factory=dict)
    dead_letters: Mapping[str, Counter[str]] = field(default_factory=dict)
    items: Mapping[str, frozenset[str]] = field(default_factory=dict)


def take(lake: Lake) -> Snapshot:
    """Count the lake; one without a ledger counts as empty."""
    if not lake.exists(LEDGER):
        return Snapshot()
    rows: dict[str, int] = {}
    event_ids: dict[str, int] = {}
    dead_letters: dict[str, Counter[str]] = {}
    for topic in event_topics():
        ids = lake.read(silver(topic.table), ["event_id"])["event_id"]
        rows[topic.name], event_ids[topic.name] = len(ids), int(pc.count_distinct(ids).as_py())
        reasons = lake.read(tables()[f"deadletter/{topic.name}"], ["reason"])["reason"]
        dead_letters[topic.name] = Counter(reasons.to_pylist())
    return Snapshot(
        totals=ledger.totals(lake),
        rows=rows,
        event_ids=event_ids,
        dead_letters=dead_letters,
        items={
            topic.name: frozenset(lake.read(silver(topic.table), ["item_id"])["item_id"].to_pylist())
            for topic in catalog_topics()
        },
    )


def of_source(lake: Lake, source: str) -> dict[str, int]:
    """Return the rows of a source in silver, by topic of events."""
    if not lake.exists(LEDGER):
        return {}
    where = pc.field("source") == source
    return {topic.name: lake.read(silver(topic.table), ["source"], where).num_rows for topic in event_topics()}


def backlog(lake: Lake, broker: Mapping[str, TopicState]) -> int:
    """Return the number of events on the broker that the ledger does not cover yet."""
    names = {topic.name for topic in event_topics()}
    ends = ledger.end_offsets(lake) if lake.exists(LEDGER) else {}
    return sum(
        end - max(state.first_offsets[partition], ends.get(ledger.Partition(state.topic_id, partition), 0))
        for name, state in broker.items()
        if name in names
        for partition, end in state.end_offsets.items()
    )
