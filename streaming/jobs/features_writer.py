"""Carries events from the topics into Redis: where to read on, one batch at a time, and what it says of itself."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from streaming.columns import listener_hash
from streaming.control import FEATURES
from streaming.errors import UnavailableError
from streaming.features import KINDS, Seen, microseconds, seen
from streaming.jobs import metrics
from streaming.jobs.features_rebuild import rebuild
from streaming.jobs.tombstones import forgotten
from streaming.lake import Lake
from streaming.online import Position, positions
from streaming.parse import Rejection, parse
from streaming.sinks.online import OnlineStore
from streaming.sinks.transaction import Batch, Move, PlaceLostError
from streaming.topics import event_topic, event_topics
from streaming.topics.admin import TopicState, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set

    from confluent_kafka import Message

    from streaming.jobs.event_consumer import EventConsumer
    from streaming.settings import Settings
    from streaming.sinks.transaction import Outcome

_MESSAGES: Final = 2_000
"""In a batch at most: the transaction of a bigger one would keep the API waiting for Redis."""

_POLL_SECONDS: Final = 0.2
_NOTE_SECONDS: Final = 2.0
_TOPICS_SECONDS: Final = 30.0

log = structlog.get_logger()


@dataclass(kw_only=True)
class Gathered:
    """What messages hold.

    Attributes:
        events: by listener.
        ends: by topic and partition, the offset after the last message.
        invalid: by topic, messages that break their contract.
        erased: by topic, messages of listeners who are forgotten.
        oldest_ms: the broker's time of the oldest message, milliseconds since 1970.
    """

    events: dict[str, list[Seen]] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    invalid: Counter[str] = field(default_factory=Counter)
    erased: Counter[str] = field(default_factory=Counter)
    oldest_ms: int = 2**63


def gather(messages: Sequence[Message], now: datetime, forgotten: Set[bytes]) -> Gathered:
    """Read messages.

    Those that break their contract are skipped, because silver makes the dead letter, and those of the forgotten, given
    by the hashes of their ids, because nothing of them may come back.
    """
    found = Gathered()
    for message in messages:
        topic = str(message.topic())
        found.ends[topic, int(message.partition() or 0)] = int(message.offset() or 0) + 1
        found.oldest_ms = min(found.oldest_ms, message.timestamp()[1])
        value = message.value()
        row = parse(topic, value if isinstance(value, bytes) else None, now=now)
        if isinstance(row, Rejection):
            found.invalid[topic] += 1
        elif forgotten and listener_hash(row["user_id"]) in forgotten:
            found.erased[topic] += 1
        else:
            event = seen(row["event_type"], row["item_id"], row["timestamp"], row["event_id"])
            found.events.setdefault(row["user_id"], []).append(event)
    return found


def event_states(bootstrap_servers: str) -> dict[str, TopicState]:
    """Return the event topics as the broker holds them.

    Raises:
        UnavailableError: the broker does not answer, or lacks one of them.
    """
    states = describe(bootstrap_servers)
    missing = [topic.name for topic in event_topics() if topic.name not in states]
    if missing:
        raise UnavailableError(f"the broker lacks the topics {', '.join(missing)}; run `music topics apply`")
    return {topic.name: states[topic.name] for topic in event_topics()}


def begin(position: Position | None, state: TopicState, partition: int) -> int:
    """Return the offset at which to read a partition, given how far it is taken in.

    A topic that was made anew is read from its first offset. What the broker no longer has is passed over: nothing
    brings it back.
    """
    first, end = state.first_offsets[partition], state.end_offsets[partition]
    if position is None or position.topic_id != state.topic_id:
        return first
    return min(max(position.offset, first), end)


class FeatureWriter:
    """Knows where Redis is in the log, and takes it further.

    Args:
        settings: where things are.
        store: the features.
        consumer: the events.
        on_progress: called while a rebuild goes on.

    Attributes:
        added: events counted since the start.
    """

    def __init__(
        self, settings: Settings, store: OnlineStore, consumer: EventConsumer, *, on_progress: Callable[[], object]
    ) -> None:
        self.added = 0
        self._servers = settings.bootstrap_servers
        self._store = store
        self._lake = Lake(settings.storage)
        self._consumer = consumer
        self._on_progress = on_progress
        self._epoch = ""
        self._forgotten: Set[bytes] = frozenset()
        self._topic_ids: dict[str, str] = {}
        self._stored: dict[tuple[str, int], Position | None] = {}
        self._told: dict[tuple[str, int], int] = {}
        self._noted_at = self._looked_at = 0.0

    def step(self) -> None:
        """Take a batch in, if one is there, and find the place first if it is not known.

        Raises:
            UnavailableError: the broker, the place in the log or the right to rebuild is not there.
            RedisError: Redis does not answer.
        """
        if not self._consumer.placed:
            self._place()
        messages = self._consumer.take(_MESSAGES, _POLL_SECONDS)
        if messages:
            self._take_in(messages)
        now = time.monotonic()
        if now - self._noted_at >= _NOTE_SECONDS:
            self._noted_at = now
            self._note()
        if now - self._looked_at >= _TOPICS_SECONDS:
            self._looked_at = now
            self._look()

    def _place(self) -> None:
        states = event_states(self._servers)
        epoch = self._store.epoch()
        if epoch is None:
            rebuild(self._store, self._lake, states, on_progress=self._on_progress)
            epoch = self._store.epoch()
        if epoch is None:
            raise PlaceLostError("Redis lost the features that were just built")
        self._epoch = epoch
        # After the epoch: an erasure writes its tombstones first and then makes batches of this epoch fail.
        self._read_tombstones()
        self._topic_ids = {name: state.topic_id for name, state in states.items()}
        wanted = [(name, number) for name, state in states.items() for number in state.end_offsets]
        self._stored = positions(self._store.redis, wanted)
        offsets = {at: begin(position, states[at[0]], at[1]) for at, position in self._stored.items()}
        self._consumer.place(offsets)
        for at, position in self._stored.items():
            if position and position.topic_id == self._topic_ids[at[0]] and position.offset != offsets[at]:
                log.warning("left_the_broker", query=FEATURES, topic=at[0], wanted=position.offset, begins=offsets[at])
        self._noted_at, self._looked_at = 0.0, time.monotonic()
        log.info("placed", query=FEATURES, partitions=len(offsets))

    def _take_in(self, messages: Sequence[Message]) -> None:
        started = time.perf_counter()
        now = datetime.now(UTC)
        found = gather(messages, now, self._forgotten)
        moves = {
            at: Move(before=self._stored[at], after=Position(self._topic_ids[at[0]], end))
            for at, end in found.ends.items()
        }
        outcome = self._store.commit(Batch(events=found.events, moves=moves), epoch=self._epoch, now=microseconds(now))
        self._stored.update({at: move.after for at, move in moves.items()})
        self.added += outcome.stored.total()
        metrics.BATCH_SECONDS.labels(FEATURES).observe(time.perf_counter() - started)
        metrics.EVENT_DELAY.labels(FEATURES).observe(max(time.time() - found.oldest_ms / 1000, 0))
        metrics.LAST_BATCH.labels(FEATURES).set_to_current_time()
        _count(outcome, found)

    def _note(self) -> None:
        """Say that this job is alive, to Redis, to the group and to Prometheus."""
        self._store.stay(self._epoch)
        self.tell_group()
        for (topic, partition), position in self._stored.items():
            end = self._consumer.end_offset(topic, partition)
            if end is not None:
                lag = max(end - (position.offset if position else 0), 0)
                metrics.LAG.labels(FEATURES, topic, str(partition)).set(lag)

    def tell_group(self) -> None:
        """Commit to the group what moved, for people and their tools."""
        offsets = {at: position.offset for at, position in self._stored.items() if position}
        self._consumer.commit({at: offset for at, offset in offsets.items() if self._told.get(at) != offset})
        self._told = offsets

    def _read_tombstones(self) -> None:
        self._forgotten = forgotten(self._lake)
        self._store.keep_out(self._forgotten, self._on_progress)

    def _look(self) -> None:
        """A topic that was made anew gives messages under the old one's offsets: find the place again.

        And an erasure that was killed before it came to Redis left its tombstones.
        """
        self._read_tombstones()
        if any(state.topic_id != self._topic_ids[name] for name, state in event_states(self._servers).items()):
            self._consumer.unplace()


def _count(outcome: Outcome, found: Gathered) -> None:
    for name, counts in (("stored", outcome.stored), ("duplicate", outcome.duplicate)):
        for kind, count in counts.items():
            metrics.ROWS.labels(FEATURES, event_topic(KINDS[kind]).name, name).inc(count)
    for name, skipped in (("invalid", found.invalid), ("erased", found.erased)):
        for topic, count in skipped.items():
            metrics.ROWS.labels(FEATURES, topic, name).inc(count)
