"""When an event can be seen: in silver's newest version, in Redis, in a chart."""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import redis

from music_assets.bench.job_sides import CHARTED
from streaming.lake import Lake
from streaming.online import positions
from streaming.tables import TRENDING_1H, silver
from streaming.topics import event_topics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from music_assets.bench.load import Accepted
    from streaming.storage import Storage
    from streaming.tables import Table


@dataclass
class SilverWatch:
    """Notes when each event id first appears in a silver table.

    Args:
        storage: where the lake lies.

    Attributes:
        seen: seconds since 1970 by event id.
        counted: the same moments, in order, of the events that a chart counts.
    """

    storage: Storage
    seen: dict[str, float] = field(default_factory=dict)
    counted: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tables = [
            (topic.event_type in CHARTED, _Newest(silver(topic.table), self.storage)) for topic in event_topics()
        ]

    def poll(self) -> None:
        """Look at every table once."""
        for counts, table in self._tables:
            at, ids = table.new_ids()
            # An upkeep run writes rows again that were there before.
            fresh = [each for each in ids if each not in self.seen]
            self.seen.update(dict.fromkeys(fresh, at))
            if counts:
                self.counted += [at] * len(fresh)


class _Newest:
    """A table's newest version, and the files that were looked into."""

    def __init__(self, table: Table, storage: Storage) -> None:
        self._delta = storage.delta(table)
        self._version = -1
        self._files: set[str] = set()

    def new_ids(self) -> tuple[float, list[str]]:
        """Return the event ids that came since the last call, and when they could first be seen."""
        self._delta.update_incremental()
        at = time.time()
        if self._delta.version() == self._version:
            return at, []
        self._version = self._delta.version()
        files = set(self._delta.file_uris())
        added, self._files = files - self._files, files
        return at, [each for file in added for each in pq.read_table(file, columns=["event_id"])[0].to_pylist()]


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One chart.

    Attributes:
        at: when it could first be seen, in seconds since 1970.
        as_of: the moment it says it is of.
        events: events of tracks that it counts.
    """

    at: float
    as_of: float
    events: int


@dataclass
class ChartWatch:
    """Notes every chart of the last hour.

    Args:
        storage: where the lake lies.
    """

    storage: Storage
    ticks: list[Tick] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lake = Lake(self.storage)
        self._version = self._lake.version(TRENDING_1H)

    def poll(self) -> None:
        """Look once."""
        version, at = self._lake.version(TRENDING_1H), time.time()
        if version == self._version:
            return
        self._version = version
        rows = self._lake.read(TRENDING_1H, ["as_of", "item_kind", "events"])
        if rows.num_rows:
            moment: datetime = rows["as_of"][0].as_py()
            tracks = rows.filter(pc.equal(rows["item_kind"], "track"))
            events = int(pc.sum(tracks["events"], min_count=0).as_py())
            self.ticks.append(Tick(at=at, as_of=moment.timestamp(), events=events))


def left_out(ticks: Sequence[Tick], counted: Sequence[float]) -> list[int]:
    """Return, by chart, how many events it lacks of those that silver showed before the moment it is of.

    Args:
        ticks: the charts; every event is recent enough for all of them.
        counted: when each event could first be seen in silver, in order.
    """
    return [max(0, bisect_right(counted, tick.as_of) - tick.events) for tick in ticks]


class OnlineWatch:
    """Notes when each partition's features are in Redis, by the position that is written with them.

    Args:
        url: of the Redis.
    """

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(url)
        self._partitions = [(topic.name, number) for topic in event_topics() for number in range(topic.partitions)]
        self._steps: dict[tuple[str, int], list[tuple[int, float]]] = {each: [] for each in self._partitions}

    def poll(self) -> None:
        """Look once."""
        found = positions(self._redis, self._partitions)
        at = time.time()
        for partition, position in found.items():
            steps = self._steps[partition]
            if position is not None and (not steps or position.offset > steps[-1][0]):
                steps.append((position.offset, at))

    def delays(self, accepted: Mapping[str, Accepted]) -> tuple[list[float], int]:
        """Return the seconds from acceptance to Redis, and how many events never came."""
        found, missing = [], 0
        for each in accepted.values():
            steps = self._steps[each.topic, each.partition]
            rank = bisect_right(steps, each.offset, key=lambda step: step[0])
            if rank == len(steps):
                missing += 1
            else:
                found.append(max(0.0, steps[rank][1] - each.at))
        return found, missing
