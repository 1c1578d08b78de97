"""Builds the features in Redis from silver, which holds each event once and for ever.

As of the positions that the ledger covers; from there the job reads Kafka. So a Redis that was lost, flushed or is
new holds the same as one that was there all the time.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from streaming import ledger
from streaming.columns import listener_hash
from streaming.features import KINDS, Seen, digest, microseconds
from streaming.jobs.tombstones import forgotten
from streaming.ledger import Partition, any_of
from streaming.online import EPOCH_SECONDS, KEEP_SECONDS, Position
from streaming.sinks.transaction import Batch
from streaming.tables import LEDGER, silver
from streaming.topics import event_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from streaming.lake import Lake
    from streaming.sinks.online import OnlineStore
    from streaming.topics import Topic
    from streaming.topics.admin import TopicState

_EVENTS: Final = 5_000
"""Per transaction: what Lua can take in one call has room for as many ids of one listener."""

_LISTENERS: Final = 25_000
_WAITING: Final = 500_000
"""Events held in memory, some 100 MB. Of so many listeners each has twenty then, and a listener's value costs as much
to change for twenty events as for one."""

_BATCH: Final = 20_000
_COLUMNS: Final = ("user_id", "item_id", "timestamp", "event_id", "ingested_at")

log = structlog.get_logger()


def rebuild(
    store: OnlineStore, lake: Lake, states: Mapping[str, TopicState], *, on_progress: Callable[[], object]
) -> None:
    """Build everything anew. Killed in between, the next start does it from the beginning.

    Memory: the ids of the listeners of the last 30 days and half a million events. Silver is read once for every
    25,000 listeners.

    Args:
        store: where to.
        lake: where from; one without tables gives nothing, and Kafka is read from its first offsets.
        states: the event topics on the broker.
        on_progress: called after every step of some milliseconds.

    Raises:
        PlaceLostError: another process took over, or a listener was forgotten meanwhile.
        UnavailableError: another process rebuilds.
        RedisError: Redis does not answer.
    """
    started = time.monotonic()
    store.begin_rebuild(on_progress)
    covered = ledger.end_offsets(lake) if lake.exists(LEDGER) else {}
    rows = _add_silver(store, lake, covered, on_progress=on_progress) if covered else 0
    positions = {
        (name, number): Position(state.topic_id, covered.get(Partition(state.topic_id, number), first))
        for name, state in states.items()
        for number, first in state.first_offsets.items()
    }
    store.end_rebuild(positions)
    log.info("features_rebuilt", rows=rows, seconds=round(time.monotonic() - started, 1))


def _add_silver(
    store: OnlineStore, lake: Lake, covered: Mapping[Partition, int], *, on_progress: Callable[[], object]
) -> int:
    now = datetime.now(UTC)
    gone = forgotten(lake)
    kept = {
        each
        for each in _listeners(lake, since=now - timedelta(seconds=KEEP_SECONDS))
        # An erasure that goes on has not taken all of them out of silver yet.
        if listener_hash(each) not in gone
    }
    rows = 0
    # Rows beyond the ledger are read from Kafka.
    counted = any_of(at.rows(end=end) for at, end in covered.items())
    everyone = pa.array(sorted(kept), pa.string())
    for start in range(0, len(everyone), _LISTENERS):
        theirs = counted & pc.field("user_id").isin(everyone.slice(start, _LISTENERS))
        waiting = _Waiting(now)
        for topic in event_topics():
            for batch in _read(lake, topic, _COLUMNS, theirs):
                waiting.add(batch, topic)
                rows += batch.num_rows
                if waiting.count >= _WAITING:
                    _flush(store, waiting, now=now, on_progress=on_progress)
                on_progress()
        _flush(store, waiting, now=now, on_progress=on_progress)
    return rows


def _flush(store: OnlineStore, waiting: _Waiting, *, now: datetime, on_progress: Callable[[], object]) -> None:
    for batch in waiting.take():
        store.add(batch, now=microseconds(now))
        on_progress()


def _listeners(lake: Lake, *, since: datetime) -> set[str]:
    """Whoever was silent for longer than a value is kept would not be held either without a rebuild."""
    found: set[str] = set()
    for topic in event_topics():
        for batch in _read(lake, topic, ("user_id",), pc.field("ingested_at") >= pa.scalar(since)):
            found.update(batch.column("user_id").to_pylist())
    return found


def _read(lake: Lake, topic: Topic, columns: tuple[str, ...], where: pc.Expression) -> Iterator[pa.RecordBatch]:
    dataset = lake.dataset(silver(topic.table))
    batches = dataset.to_batches(
        columns=list(columns), filter=where, batch_size=_BATCH, batch_readahead=4, fragment_readahead=1
    )
    return (batch for batch in batches if batch.num_rows)


class _Waiting:
    """Events that are not in Redis yet, by listener."""

    def __init__(self, now: datetime) -> None:
        self.count = 0
        # An id that came longer ago than ids are kept is forgotten here as it would be anyway.
        self._fresh = microseconds(now) - EPOCH_SECONDS * 1_000_000
        self._events: dict[str, list[Seen]] = {}
        self._since: dict[str, int] = {}

    def add(self, batch: pa.RecordBatch, topic: Topic) -> None:
        """Hold the rows of a topic's silver."""
        kind = next(index for index, each in enumerate(KINDS) if each is topic.event_type)
        times = (batch.column(name).cast(pa.int64()).to_pylist() for name in ("timestamp", "ingested_at"))
        names = (batch.column(name).to_pylist() for name in ("user_id", "item_id", "event_id"))
        for user, item, event_id, at, ingested in zip(*names, *times, strict=True):
            name = digest(kind, event_id) if ingested >= self._fresh else 0
            self._events.setdefault(user, []).append(Seen(kind, item, at, name))
            self._since[user] = min(ingested, self._since.get(user, ingested))
        self.count += batch.num_rows

    def take(self) -> Iterator[Batch]:
        """Give everything up, in batches that a transaction can take; one listener's may be in several."""
        events, since, self.count = self._events, self._since, 0
        self._events, self._since = {}, {}
        some: dict[str, list[Seen]] = {}
        room = _EVENTS
        for user, theirs in events.items():
            for start in range(0, len(theirs), _EVENTS):
                part = theirs[start : start + _EVENTS]
                if len(part) > room:
                    yield Batch(events=some, since=since)
                    some, room = {}, _EVENTS
                some[user] = part
                room -= len(part)
        if some:
            yield Batch(events=some, since=since)
