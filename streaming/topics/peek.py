"""The newest messages of a topic, for people who look."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streaming.errors import ConfigurationError, UnavailableError
from streaming.topics import topics

if TYPE_CHECKING:
    from confluent_kafka import Message

_TIMEOUT_SECONDS: Final = 10.0


def peek(bootstrap_servers: str, topic: str, *, limit: int) -> list[Message]:
    """Return the last messages of each partition, oldest first; no offset is committed.

    Args:
        bootstrap_servers: the broker.
        topic: a registered topic.
        limit: messages at most, over all partitions.

    Raises:
        ConfigurationError: there is no such topic.
        UnavailableError: the broker does not answer.
    """
    if topic not in topics():
        raise ConfigurationError(f"there is no topic {topic!r}; valid: {', '.join(topics())}")
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"peek-{uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "log_level": 0,
        }
    )
    try:
        return _last(consumer, topic, limit)
    except KafkaException as error:
        raise UnavailableError(f"the broker at {bootstrap_servers} does not answer; is it up?") from error
    finally:
        consumer.close()


def _last(consumer: Consumer, topic: str, limit: int) -> list[Message]:
    partitions = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic].partitions
    starts, ends = [], {}
    for partition in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_SECONDS)
        if high > low:
            starts.append(TopicPartition(topic, partition, max(low, high - limit)))
            ends[partition] = high
    found: list[Message] = []
    if starts:
        consumer.assign(starts)
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while ends and time.monotonic() < deadline:
        found += [message for message in consumer.consume(limit, timeout=0.5) if message.error() is None]
        for place in consumer.position(starts):
            # A compacted topic may end below its high watermark, so the place counts and not the last message.
            if place.offset >= ends.get(place.partition, 0):
                ends.pop(place.partition, None)
    found.sort(key=lambda message: message.timestamp()[1])
    return found[-limit:]
