"""The ledger: every offset of every topic, and what became of it.

A row covers a range of offsets of one topic and partition in one batch and counts the outcome of each. It is
written after the rows it counts; `problems` holds the tables against it and names what does not agree.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from streaming.tables import ERASED, LEDGER, tables
from streaming.topics import log_topics, topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from streaming.lake import Lake
    from streaming.tables import Table
    from streaming.topics import Topic
    from streaming.topics.admin import TopicState


class Partition(NamedTuple):
    """A partition for ever: the broker's topic id tells a re-created topic from the one before."""

    topic_id: str
    partition: int

    def rows(self, *, first: int | None = None, end: int | None = None) -> pc.Expression:
        """Return the condition on rows that lie in this partition, from `first` on and before `end`."""
        here = (pc.field("kafka_topic_id") == self.topic_id) & (pc.field("kafka_partition") == self.partition)
        if first is not None:
            here &= pc.field("kafka_offset") >= first
        return here if end is None else here & (pc.field("kafka_offset") < end)


def any_of(conditions: Iterable[pc.Expression]) -> pc.Expression:
    """Return what is true where one of some conditions is; there is at least one."""
    return functools.reduce(operator.or_, conditions)


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Outcomes of a topic's positions since its first: received = stored + duplicate + dead_lettered."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    event_id_conflicts: int = 0
    erased: int = 0


_COUNTS = ("received", "stored", "duplicate", "dead_lettered", "event_id_conflicts")


@dataclass(frozen=True, kw_only=True)
class _Account:
    """One partition's ledger: where it begins and ends, and its sums."""

    topic: str
    first: int
    end: int
    stored: int
    dead_lettered: int


def totals(lake: Lake) -> dict[str, Totals]:
    """Return the outcomes by topic, for every registered topic; `erased` are the positions whose rows are gone."""
    rows = lake.read(LEDGER, ["topic", *_COUNTS]).group_by("topic").aggregate([(name, "sum") for name in _COUNTS])
    found = {row["topic"]: {name: int(row[f"{name}_sum"] or 0) for name in _COUNTS} for row in rows.to_pylist()}
    erased = _erased_by_topic(lake)
    return {name: Totals(**found.get(name, {}), erased=erased.get(name, 0)) for name in topics()}


def _erased(lake: Lake, columns: list[str]) -> pa.Table:
    """The erased positions; none in a lake of before there were any."""
    return lake.read(ERASED, columns) if lake.exists(ERASED) else ERASED.schema.empty_table().select(columns)


def _erased_by_topic(lake: Lake) -> dict[str, int]:
    """Positions erased on arrival and later alike."""
    position = ["topic", "kafka_topic_id", "kafka_partition", "kafka_offset"]
    different = _erased(lake, position).group_by(position).aggregate([])
    return {each["values"]: each["counts"] for each in different.column("topic").value_counts().to_pylist()}


def end_offsets(lake: Lake) -> dict[Partition, int]:
    """Return, by partition, the offset after the last one accounted for."""
    rows = lake.read(LEDGER, ["kafka_topic_id", "kafka_partition", "end_offset"])
    grouped = rows.group_by(["kafka_topic_id", "kafka_partition"]).aggregate([("end_offset", "max")])
    return {
        Partition(row["kafka_topic_id"], row["kafka_partition"]): int(row["end_offset_max"])
        for row in grouped.to_pylist()
    }


def lag(state: TopicState, covered: Mapping[Partition, int]) -> int:
    """Return how many positions of a topic on the broker the ledger does not cover yet.

    Args:
        state: the broker's topic.
        covered: what `end_offsets` gave.
    """
    return sum(
        end - covered.get(Partition(state.topic_id, partition), state.first_offsets[partition])
        for partition, end in state.end_offsets.items()
    )


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
    found += _stored_problems(lake, accounts)
    found += _bronze_problems(lake, accounts)
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


def _between(offsets: pa.Int64Array | None, first: int, end: int) -> pa.Int64Array:
    """The offsets in [first, end)."""
    if offsets is None:
        return pa.array([], pa.int64())
    return offsets.filter(pc.and_(pc.greater_equal(offsets, first), pc.less(offsets, end)))


Gone = dict[Partition, dict[str, set[int]]]
"""Offsets of erased positions by partition and outcome."""


def _erased_positions(lake: Lake) -> Gone:
    gone: Gone = defaultdict(lambda: defaultdict(set))
    for row in _erased(lake, ["kafka_topic_id", "kafka_partition", "kafka_offset", "outcome"]).to_pylist():
        gone[Partition(row["kafka_topic_id"], row["kafka_partition"])][row["outcome"]].add(row["kafka_offset"])
    return gone


def _without_erased(offsets: pa.Int64Array, erased: set[int]) -> pa.Int64Array:
    """The offsets whose rows stay: an erasure writes down a position before it removes the row."""
    return offsets.filter(pc.invert(pc.is_in(offsets, value_set=pa.array(list(erased), pa.int64()))))


def _stored_problems(lake: Lake, accounts: dict[Partition, _Account]) -> Iterator[str]:
    logs = {topic.name for topic in log_topics()}
    for topic in topics().values():
        pairs = [("dead_lettered", tables()[f"deadletter/{topic.name}"])]
        if topic.name in logs:
            pairs.append(("stored", tables()[f"silver/{topic.table}"]))
        for outcome, table in pairs:
            positions = _positions(lake, table)
            # After the table: what left it meanwhile is in here.
            gone = _erased_positions(lake)
            for key, account in accounts.items():
                if account.topic == topic.name:
                    erased = gone[key][outcome]
                    yield from _outcome_problems(table, outcome, key, account, positions.get(key), erased)


def _outcome_problems(
    table: Table, outcome: str, key: Partition, account: _Account, rows: pa.Int64Array | None, erased: set[int]
) -> Iterator[str]:
    found = _between(rows, account.first, account.end)
    left = _without_erased(found, erased)
    different = len(pc.unique(left))
    if len(left) != different:
        yield f"{table.id}[{key.partition}]: {len(left)} rows hold {different} positions"
    counted = account.stored if outcome == "stored" else account.dead_lettered
    counted -= sum(account.first <= each < account.end for each in erased)
    if different != counted:
        yield f"{table.id}[{key.partition}]: the ledger counts {counted} {outcome}, the table has {different}"


def _bronze_problems(lake: Lake, accounts: dict[Partition, _Account]) -> Iterator[str]:
    for topic in log_topics():
        positions = _positions(lake, tables()[f"bronze/{topic.table}"])
        gone = _erased_positions(lake)
        for key, account in accounts.items():
            if account.topic != topic.name or (offsets := positions.get(key)) is None:
                continue
            end = min(account.end, int(pc.max(offsets).as_py()) + 1)
            erased = set().union(*gone[key].values())
            left = _without_erased(_between(offsets, account.first, end), erased)
            different = len(pc.unique(left))
            away = sum(account.first <= each < end for each in erased)
            if len(left) != different or different != max(end - account.first, 0) - away:
                yield (
                    f"bronze/{topic.table}[{key.partition}]: {len(left)} rows hold {different} positions "
                    f"of the {end - account.first} that the ledger received up to {end}, {away} of them erased"
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
