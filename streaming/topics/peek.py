"""Messages of a topic, for people who look: the newest, or from a place on."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streaming.errors import ConfigurationError, UnavailableError
from streaming.topics import topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka import Message

    from streaming.topics.admin import TopicState

_TIMEOUT_SECONDS: Final = 10.0


def peek(bootstrap_servers: str, topic: str, *, limit: int, seconds: float = _TIMEOUT_SECONDS) -> list[Message]:
    """Return the last messages of each partition, oldest first; no offset is committed.

    Args:
        bootstrap_servers: the broker.
        topic: a registered topic.
        limit: messages at most, over all partitions.
        seconds: how long the broker may take for each answer.

    Raises:
        ConfigurationError: there is no such topic.
        UnavailableError: the broker does not answer.
    """
    _check(topic)
    with _consumer(bootstrap_servers) as consumer:
        partitions = consumer.list_topics(topic, timeout=seconds).topics[topic].partitions
        spans = [_span(consumer, topic, partition, None, limit, seconds) for partition in partitions]
        return _read(consumer, topic, spans, seconds)[-limit:]


def first_times(bootstrap_servers: str, states: Mapping[str, TopicState], *, seconds: float) -> dict[str, datetime]:
    """Return the broker's time of the oldest message by topic, as far as it can be read in time.

    Args:
        bootstrap_servers: the broker.
        states: the topics, as the broker holds them.
        seconds: for all of them.

    Raises:
        UnavailableError: the broker does not answer.
    """
    starts = [
        TopicPartition(name, partition, first)
        for name, state in states.items()
        for partition, first in state.first_offsets.items()
        if state.end_offsets[partition] > first
    ]
    found: dict[str, datetime] = {}
    with _consumer(bootstrap_servers) as consumer:
        if starts:
            consumer.assign(starts)
        left = {(start.topic, start.partition) for start in starts}
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            place, (_, at) = (message.topic() or "", message.partition() or 0), message.timestamp()
            if place in left:
                left.remove(place)
                # One message of a partition is enough.
                consumer.incremental_unassign([TopicPartition(*place)])
                moment = datetime.fromtimestamp(at / 1000, UTC)
                found[place[0]] = min(moment, found.get(place[0], moment))
    return found


@dataclass(frozen=True)
class Window:
    """Messages of one partition, oldest first; `before` is where the ones before them begin, None if there are none."""

    messages: list[Message]
    before: int | None


def window(
    bootstrap_servers: str, topic: str, partition: int, *, offset: int | None, limit: int, seconds: float
) -> Window:
    """Return messages of a partition; no offset is committed.

    Args:
        bootstrap_servers: the broker.
        topic: a registered topic.
        partition: one of its partitions.
        offset: of the first message; absent: so that the last one is the newest.
        limit: offsets at most; of a compacted topic some may be empty.
        seconds: how long the broker may take for each answer.

    Raises:
        ConfigurationError: there is no such topic or partition.
        UnavailableError: the broker does not answer.
    """
    _check(topic)
    with _consumer(bootstrap_servers) as consumer:
        partitions = consumer.list_topics(topic, timeout=seconds).topics[topic].partitions
        if partition not in partitions:
            raise ConfigurationError(f"{topic} has no partition {partition}; valid: {', '.join(map(str, partitions))}")
        span = _span(consumer, topic, partition, offset, limit, seconds)
        found = _read(consumer, topic, [span], seconds)
    return Window([each for each in found if (each.offset() or 0) < span.end], span.before)


class _Span(NamedTuple):
    partition: int
    first: int
    end: int
    before: int | None


def _span(consumer: Consumer, topic: str, partition: int, offset: int | None, limit: int, seconds: float) -> _Span:
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=seconds)
    first = min(max(low, high - limit if offset is None else offset), high)
    return _Span(partition, first, min(first + limit, high), max(low, first - limit) if first > low else None)


def _check(topic: str) -> None:
    if topic not in topics():
        raise ConfigurationError(f"there is no topic {topic!r}; valid: {', '.join(topics())}")


@contextmanager
def _consumer(bootstrap_servers: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"peek-{uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            # A look is at a few messages, not at a queue of a gigabyte.
            "queued.max.messages.kbytes": 4096,
            "log_level": 0,
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        raise UnavailableError(f"the broker at {bootstrap_servers} does not answer; is it up?") from error
    finally:
        consumer.close()


def _read(consumer: Consumer, topic: str, spans: Sequence[_Span], seconds: float) -> list[Message]:
    starts = [TopicPartition(topic, span.partition, span.first) for span in spans if span.end > span.first]
    ends = {span.partition: span.end for span in spans if span.end > span.first}
    limit = max((span.end - span.first for span in spans), default=1)
    found: list[Message] = []
    if starts:
        consumer.assign(starts)
    deadline = time.monotonic() + seconds
    while ends and time.monotonic() < deadline:
        found += [message for message in consumer.consume(max(limit, 1), timeout=0.5) if message.error() is None]
        for place in consumer.position(starts):
            # A compacted topic may end below its high watermark, so the place counts and not the last message.
            if place.offset >= ends.get(place.partition, 0):
                ends.pop(place.partition, None)
    found.sort(key=lambda message: message.timestamp()[1])
    return found
