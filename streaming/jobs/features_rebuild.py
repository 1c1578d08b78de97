"""Builds the features in Redis from silver, which holds each event once and for ever.

As of the positions that the ledger covers; from there the job reads Kafka. So a Redis that was lost, flushed or is
new holds the same as one that was there all the time.
"""

from __future__ import annotations

import functools
import operator
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from streaming import ledger
from streaming.features import KINDS, Seen, digest, microseconds
from streaming.ledger import Partition
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

_ROWS: Final = 5_000
"""Per transaction: what Lua can take in one call has room for as many ids of one listener."""

_COLUMNS: Final = ("user_id", "item_id", "timestamp", "event_id", "ingested_at")

log = structlog.get_logger()


def rebuild(
    store: OnlineStore, lake: Lake, states: Mapping[str, TopicState], *, on_progress: Callable[[], object]
) -> None:
    """Build everything anew. Killed in between, the next start does it from the beginning.

    Memory: the ids of the listeners of the last 30 days, and some thousand rows at a time.

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
    kept = _listeners(lake, since=now - timedelta(seconds=KEEP_SECONDS))
    rows = 0
    for topic in event_topics():
        for batch in _read(lake, topic, _COLUMNS, _within(covered)):
            store.add(_events(batch, topic, kept, now=now), now=microseconds(now))
            rows += batch.num_rows
            on_progress()
    return rows


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
        columns=list(columns), filter=where, batch_size=_ROWS, batch_readahead=4, fragment_readahead=1
    )
    return (batch for batch in batches if batch.num_rows)


def _within(covered: Mapping[Partition, int]) -> pc.Expression:
    """Rows that the ledger counts: those beyond it are read from Kafka."""
    return functools.reduce(
        operator.or_,
        (
            (pc.field("kafka_topic_id") == at.topic_id)
            & (pc.field("kafka_partition") == at.partition)
            & (pc.field("kafka_offset") < end)
            for at, end in covered.items()
        ),
    )


def _events(batch: pa.RecordBatch, topic: Topic, kept: set[str], *, now: datetime) -> Batch:
    kind = next(index for index, each in enumerate(KINDS) if each is topic.event_type)
    fresh = microseconds(now) - EPOCH_SECONDS * 1_000_000
    events: dict[str, list[Seen]] = {}
    since: dict[str, int] = {}
    times = (batch.column(name).cast(pa.int64()).to_pylist() for name in ("timestamp", "ingested_at"))
    names = (batch.column(name).to_pylist() for name in ("user_id", "item_id", "event_id"))
    for user, item, event_id, at, ingested in zip(*names, *times, strict=True):
        if user in kept:
            # An id that came longer ago than ids are kept is forgotten here as it would be anyway.
            name = digest(kind, event_id) if ingested >= fresh else 0
            events.setdefault(user, []).append(Seen(kind, item, at, name))
            since[user] = min(ingested, since.get(user, ingested))
    return Batch(events=events, since=since)
