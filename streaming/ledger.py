"""The ledger: every offset of every topic, and what became of it.

A row covers a range of offsets of one topic and partition in one batch and counts the outcome of each. It is
written after the rows it counts; `problems` holds the tables against it and names what does not agree.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pyarrow.compute as pc

from streaming.tables import ERASED, LEDGER, tables
from streaming.topics import log_topics, topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from streaming.lake import Lake
    from streaming.tables import Table
    from streaming.topics import Topic
    from streaming.topics.admin import TopicState


class Partition(NamedTuple):
    """A partition for ever: the broker's topic id tells a re-created topic from the one before."""

    topic_id: str
    partition: int


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Outcomes of a topic's positions since its first: received = stored + duplicate + dead_lettered."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    event_id_conflicts: int = 0
    erased: int = 0


_COUNTS = ("received", "stored", "duplicate", "dead_lettered", "event_id_conflicts", "erased")


@dataclass(frozen=True, kw_only=True)
class _Account:
    """One partition's ledger: where it begins and ends, and its sums."""

    topic: str
    first: int
    end: int
    stored: int
    dead_lettered: int


def totals(lake: Lake) -> dict[str, Totals]:
    """Return the outcomes by topic, for every registered topic."""
    rows = lake.read(LEDGER, ["topic", *_COUNTS]).group_by("topic").aggregate([(name, "sum") for name in _COUNTS])
    found = {
        row["topic"]: Totals(**{name: int(row[f"{name}_sum"] or 0) for name in _COUNTS}) for row in rows.to_pylist()
    }
    return {name: found.get(name, Totals()) for name in topics()}


def end_offsets(lake: Lake) -> dict[Partition, int]:
    """Return, by partition, the offset after the last one accounted for."""
    rows = lake.read(LEDGER, ["kafka_topic_id", "kafka_partition", "end_offset"])
    grouped = rows.group_by(["kafka_topic_id", "kafka_partition"]).aggregate([("end_offset", "max")])
    return {
        Partition(row["kafka_topic_id"], row["kafka_partition"]): int(row["end_offset_max"])
        for row in grouped.to_pylist()
    }


def problems(lake: Lake, broker: dict[str, TopicState]) -> list[str]:
    """Return what does not balance, one sentence each; empty means balanced.

    Batches that are being written are no problem: rows beyond the ledger's end are not looked at, and bronze is
    compared as far as it has come.

    Args:
        lake: the lake.
        broker: what the broker holds now, by topic.
    """
    rows = lake.read(LEDGER).sort_by([("kafka_topic_id", "ascending"), ("kafka_partition", "ascending"),
                                      ("first_offset", "ascending")]).to_pylist()  # fmt: skip
    found = list(_row_problems(rows))
    accounts, gaps = _accounts(rows)
    found += gaps
    gone = _erased_positions(lake)
    found += _stored_problems(lake, accounts, gone)
    found += _bronze_problems(lake, accounts, gone)
    found += _broker_problems(accounts, broker)
    return found


def _row_problems(rows: list[dict[str, int | str]]) -> Iterator[str]:
    compacted = {topic.name for topic in topics().values() if topic.compacted}
    for row in rows:
        where = f"{row['topic']}[{row['kafka_partition']}] {row['first_offset']}..{row['end_offset']}"
        width = int(row["end_offset"]) - int(row["first_offset"])
        received = int(row["received"])
        outcomes = int(row["stored"]) + int(row["duplicate"]) + int(row["dead_lettered"])
        if received != outcomes:
            yield f"{where}: received {received}, but {outcomes} have an outcome"
        if received > width or (received < width and row["topic"] not in compacted):
            yield f"{where}: covers {width} offsets, but received {received}"


def _accounts(rows: list[dict[str, int | str]]) -> tuple[dict[Partition, _Account], list[str]]:
    by_partition: dict[Partition, list[dict[str, int | str]]] = defaultdict(list)
    for row in rows:
        by_partition[Partition(str(row["kafka_topic_id"]), int(row["kafka_partition"]))].append(row)
    accounts: dict[Partition, _Account] = {}
    gaps: list[str] = []
    for key, ranges in by_partition.items():
        topic = str(ranges[0]["topic"])
        for before, after in itertools.pairwise(ranges):
            if before["end_offset"] != after["first_offset"]:
                gaps.append(
                    f"{topic}[{key.partition}]: the ledger covers offsets up to {before['end_offset']}, "
                    f"then from {after['first_offset']}"
                )
        accounts[key] = _Account(
            topic=topic,
            first=int(ranges[0]["first_offset"]),
            end=int(ranges[-1]["end_offset"]),
            stored=sum(int(row["stored"]) for row in ranges),
            dead_lettered=sum(int(row["dead_lettered"]) for row in ranges),
        )
    return accounts, gaps


def _positions(lake: Lake, table: Table) -> dict[Partition, pa.Int64Array]:
    """The offsets of a table's rows by partition, not sorted."""
    rows = lake.read(table, ["kafka_topic_id", "kafka_partition", "kafka_offset"])
    grouped = rows.group_by(["kafka_topic_id", "kafka_partition"]).aggregate([("kafka_offset", "list")])
    return {
        Partition(part, number): offsets.values
        for part, number, offsets in zip(
            grouped["kafka_topic_id"].to_pylist(),
            grouped["kafka_partition"].to_pylist(),
            grouped["kafka_offset_list"],
            strict=True,
        )
    }


def _between(offsets: pa.Int64Array | None, first: int, end: int) -> tuple[int, int]:
    """How many rows and how many different offsets lie in [first, end)."""
    if offsets is None:
        return 0, 0
    inside = offsets.filter(pc.and_(pc.greater_equal(offsets, first), pc.less(offsets, end)))
    return len(inside), int(pc.count_distinct(inside).as_py())


Gone = dict[tuple[Partition, str], int]
"""How many positions of a partition were erased, by their outcome."""


def _erased_positions(lake: Lake) -> Gone:
    rows = lake.read(ERASED, ["kafka_topic_id", "kafka_partition", "kafka_offset", "outcome"])
    # An erasure that was repeated names a position twice.
    keys = ["kafka_topic_id", "kafka_partition", "outcome"]
    counts = rows.group_by(keys).aggregate([("kafka_offset", "count_distinct")])
    return {
        (Partition(row["kafka_topic_id"], row["kafka_partition"]), row["outcome"]): row["kafka_offset_count_distinct"]
        for row in counts.to_pylist()
    }


def _stored_problems(lake: Lake, accounts: dict[Partition, _Account], gone: Gone) -> Iterator[str]:
    logs = {topic.name for topic in log_topics()}
    for topic in topics().values():
        pairs = [("dead_lettered", tables()[f"deadletter/{topic.name}"])]
        if topic.name in logs:
            pairs.append(("stored", tables()[f"silver/{topic.table}"]))
        for outcome, table in pairs:
            positions = _positions(lake, table)
            for key, account in accounts.items():
                if account.topic == topic.name:
                    counted = account.stored if outcome == "stored" else account.dead_lettered
                    left = counted - gone.get((key, outcome), 0)
                    yield from _outcome_problems(
                        table, outcome, key, account=account, left=left, rows=positions.get(key)
                    )


def _outcome_problems(
    table: Table, outcome: str, key: Partition, *, account: _Account, left: int, rows: pa.Int64Array | None
) -> Iterator[str]:
    found, different = _between(rows, account.first, account.end)
    if found != different:
        yield f"{table.id}[{key.partition}]: {found} rows hold {different} positions"
    if different != left:
        yield f"{table.id}[{key.partition}]: the ledger counts {left} {outcome} not erased, the table has {different}"


def _bronze_problems(lake: Lake, accounts: dict[Partition, _Account], gone: Gone) -> Iterator[str]:
    for topic in log_topics():
        positions = _positions(lake, tables()[f"bronze/{topic.table}"])
        for key, account in accounts.items():
            if account.topic != topic.name or (offsets := positions.get(key)) is None:
                continue
            end = min(account.end, int(pc.max(offsets).as_py()) + 1)
            rows, different = _between(offsets, account.first, end)
            erased = sum(count for (at, _), count in gone.items() if at == key)
            if rows != different or not max(end - account.first, 0) - erased <= different <= max(
                end - account.first, 0
            ):
                yield (
                    f"bronze/{topic.table}[{key.partition}]: {rows} rows hold {different} positions "
                    f"of the {end - account.first} that the ledger received up to {end}, {erased} of them erased"
                )


def _broker_problems(accounts: dict[Partition, _Account], broker: dict[str, TopicState]) -> Iterator[str]:
    ids: dict[str, tuple[Topic, TopicState]] = {
        state.topic_id: (topics()[name], state) for name, state in broker.items()
    }
    for key, account in accounts.items():
        if key.topic_id not in ids:
            continue
        topic, state = ids[key.topic_id]
        end, first = state.end_offsets[key.partition], state.first_offsets[key.partition]
        if account.end > end:
            yield f"{topic.name}[{key.partition}]: the ledger ends at {account.end}, the broker already at {end}"
        if account.end < first and not topic.compacted:
            yield f"{topic.name}[{key.partition}]: offsets {account.end}..{first} left the broker before they were read"
