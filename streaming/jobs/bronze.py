"""`stream_kafka_to_bronze`: every message as it came.

A bounded read from where each table ends to where its topic ends. Each commit leaves the end offsets in the table as
Delta transaction versions, so the table itself says where to go on and there is no checkpoint that could be lost or
disagree.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc
import structlog

from streaming.jobs import metrics
from streaming.jobs.tombstones import forgotten
from streaming.lake import Lake
from streaming.pieces import Piece
from streaming.sinks.tables import Write, commit_files
from streaming.tables import Table, bronze
from streaming.topics import topics
from streaming.topics.admin import TopicGuard, required_topics

if TYPE_CHECKING:
    from collections.abc import Set

    from streaming.settings import Settings

NAME: Final = "stream_kafka_to_bronze"

Ranges = Mapping[str, Mapping[int, tuple[int, int]]]
"""By topic and partition, the first offset to read and the one after the last."""

Stage = Callable[[Ranges, Mapping[str, str], "Set[bytes]"], list[Piece]]
"""Reads ranges and stages them as they came: given the ranges, the topics' ids and whom to leave out."""

log = structlog.get_logger()


class BronzeStream:
    """The job; between runs it remembers where each table ends.

    The caller holds the lease.

    Args:
        settings: where things are.
        stage: reads a range with the engine at hand.
    """

    def __init__(self, settings: Settings, stage: Stage) -> None:
        self._settings = settings
        self._stage = stage
        self._lake = Lake(settings.storage)
        self._held: dict[tuple[str, int], int | None] = {}

    def run(self) -> dict[str, int]:
        """Append what came since the last run; return the offsets taken in by table id."""
        added: dict[str, int] = defaultdict(int)
        states = required_topics(self._settings.bootstrap_servers)
        topic_ids = {name: state.topic_id for name, state in states.items()}
        targets = {name: state.end_offsets for name, state in states.items()}
        guard = TopicGuard(self._settings.bootstrap_servers, topic_ids)
        firsts = {name: self._begin(name, state.topic_id, state.first_offsets) for name, state in states.items()}
        while ranges := _next_ranges(firsts, targets, self._settings.max_offsets_per_trigger):
            started = time.monotonic()
            pieces = self._stage(ranges, topic_ids, forgotten(self._lake))
            guard.check()
            for topic, each in ranges.items():
                added[bronze(topics()[topic].table).id] += self._commit(topic, topic_ids[topic], each, pieces)
                firsts[topic] = {**firsts[topic], **{number: end for number, (_, end) in each.items()}}
            metrics.batch_done(NAME, time.monotonic() - started)
            log.info("batch_committed", query=NAME, seconds=round(time.monotonic() - started, 2), **added)
        return dict(added)

    def run_due(self) -> dict[str, int]:
        """The same as `run`: what has come is due."""
        return self.run()

    def _begin(self, topic: str, topic_id: str, oldest: Mapping[int, int]) -> dict[int, int]:
        """Where to go on, by partition; keeps what the table says, which the next commit must find again."""
        table = bronze(topics()[topic].table)
        ids = {number: _app_id(topic_id, number) for number in oldest}
        held = self._lake.marks(table, [*ids.values()])
        self._held.update({(topic_id, number): held[app_id] for number, app_id in ids.items()})
        missing = [number for number in oldest if self._held[topic_id, number] is None]
        rows = _ends_of_rows(self._lake, table, topic_id) if missing and self._lake.count(table) else {}
        return {
            number: rows.get(number, first) if (end := self._held[topic_id, number]) is None else end
            for number, first in oldest.items()
        }

    def _commit(self, topic: str, topic_id: str, ranges: Mapping[int, tuple[int, int]], pieces: list[Piece]) -> int:
        table = bronze(topics()[topic].table)
        files = [piece.good for piece in pieces if piece.topic == topic and piece.good is not None]
        ends = {at: end for at, (_, end) in ranges.items()}
        write = Write(
            expected={_app_id(topic_id, at): self._held[topic_id, at] for at in ranges},
            leaves={_app_id(topic_id, at): end for at, end in ends.items()},
            note={"query": NAME, "end_offsets": ends},
        )
        commit_files(files, table, self._lake.storage, write=write)
        self._held.update({(topic_id, at): end for at, end in ends.items()})
        metrics.ROWS.labels(NAME, topic, "stored").inc(sum(file.rows for file in files))
        return sum(end - first for first, end in ranges.values())


def _ends_of_rows(lake: Lake, table: Table, topic_id: str) -> dict[int, int]:
    """The ends of a table that was filled before its commits said so."""
    rows = lake.read(table, ["kafka_partition", "kafka_offset"], pc.field("kafka_topic_id") == topic_id)
    ends = rows.group_by("kafka_partition").aggregate([("kafka_offset", "max")])
    return {row["kafka_partition"]: int(row["kafka_offset_max"]) + 1 for row in ends.to_pylist()}


def _app_id(topic_id: str, partition: int) -> str:
    return f"{NAME}/{topic_id}/{partition}"


def _next_ranges(
    firsts: Mapping[str, Mapping[int, int]], targets: Mapping[str, Mapping[int, int]], most: int
) -> dict[str, dict[int, tuple[int, int]]]:
    """What to read next: every partition's share of at most `most` offsets, none where nothing waits."""
    waiting = {
        (topic, number): (first, targets[topic][number])
        for topic, every in firsts.items()
        for number, first in every.items()
        if targets[topic][number] > first
    }
    share = max(1, most // max(1, len(waiting)))
    ranges: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    for (topic, number), (first, end) in waiting.items():
        ranges[topic][number] = (first, min(end, first + share))
    return dict(ranges)
