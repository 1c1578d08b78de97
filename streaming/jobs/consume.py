"""Reads ranges of topics in this process: the feed of the Python engine.

No group, no committed offsets: the tables know where to go on.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pyarrow as pa
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, TopicPartition

from streaming.errors import IntegrityError, UnavailableError
from streaming.pieces import RAW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import Message

_AT_ONCE: Final = 20_000
_QUEUE_KILOBYTES: Final = 32 * 1024
"""What librdkafka may hold of each partition: back-pressure is a full queue."""
_SILENCE_SECONDS: Final = 30.0


class TopicReader:
    """Reads from given offsets onwards.

    Args:
        bootstrap_servers: the brokers.
        starts: first offset to read by topic and partition.
    """

    def __init__(self, bootstrap_servers: str, starts: Mapping[tuple[str, int], int]) -> None:
        self._servers = bootstrap_servers
        self._error: KafkaError | None = None
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"music-{uuid4()}",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # Offsets that the broker lost are an error a person must see, never a silent gap.
                "auto.offset.reset": "error",
                "fetch.message.max.bytes": 8 << 20,
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": _QUEUE_KILOBYTES,
                "error_cb": self._failed,
                "log_level": 0,
            }
        )
        self._ends = dict(starts)
        self._consumer.assign([TopicPartition(topic, number, start) for (topic, number), start in starts.items()])

    @property
    def ends(self) -> dict[tuple[str, int], int]:
        """Offset after the last message read, by topic and partition; gaps of compacted topics are behind it."""
        for place in self._consumer.position([TopicPartition(*at) for at in self._ends]):
            if place.offset != OFFSET_INVALID:
                self._ends[place.topic, place.partition] = place.offset
        return dict(self._ends)

    def read(self, most: int, *, seconds: float, stop: Callable[[], bool] = lambda: False) -> list[pa.RecordBatch]:
        """Return what comes until there are `most` messages, `seconds` have gone since the first, or `stop` says so.

        Raises:
            UnavailableError: the broker does not answer.
            IntegrityError: the broker no longer has an offset that was not read yet.
        """
        batches: list[pa.RecordBatch] = []
        count, deadline = 0, time.monotonic() + seconds
        while count < most and time.monotonic() < deadline and not stop():
            left = max(0.0, deadline - time.monotonic())
            messages = self._consumer.consume(min(_AT_ONCE, most - count), timeout=min(left, 0.2))
            for message in messages:
                self._check(message.error())
            if messages:
                batches += as_batches(messages)
                count += len(messages)
        self._check(self._error)
        return batches

    def read_to(self, targets: Mapping[tuple[str, int], int]) -> list[pa.RecordBatch]:
        """Return everything below the target offsets; reads each partition no further.

        Raises:
            UnavailableError: the broker does not answer.
            IntegrityError: the broker no longer has an offset that was not read yet.
        """
        batches: list[pa.RecordBatch] = []
        open_ = {at for at, end in targets.items() if self._ends[at] < end}
        heard = time.monotonic()
        while open_:
            messages = self._consumer.consume(_AT_ONCE, timeout=0.2)
            for message in messages:
                self._check(message.error())
            self._check(self._error)
            kept = [each for each in messages if _offset(each) < targets[_at(each)]]
            batches += as_batches(kept)
            ends = self.ends
            done = {at for at in open_ if ends[at] >= targets[at]}
            if done:
                self._consumer.pause([TopicPartition(*at) for at in done])
            open_ -= done
            if messages or done:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE_SECONDS:
                raise UnavailableError(f"the Kafka broker at {self._servers} sends nothing any more; is it up?")
        return batches

    def close(self) -> None:
        """Release the connections."""
        self._consumer.close()

    def _failed(self, error: KafkaError) -> None:
        self._error = error

    def _check(self, error: KafkaError | None) -> None:
        if error is None:
            return
        self._error = None
        if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:
            raise IntegrityError(f"the broker has no longer what was not read yet: {error.str()}")
        if error.code() == KafkaError._ALL_BROKERS_DOWN or error.fatal():
            raise UnavailableError(f"the Kafka broker at {self._servers} does not answer ({error.name()}); is it up?")


def _at(message: Message) -> tuple[str, int]:
    return str(message.topic()), int(message.partition() or 0)


def _offset(message: Message) -> int:
    return int(message.offset() or 0)


def as_batches(messages: list[Message]) -> list[pa.RecordBatch]:
    """Return messages as columns of `streaming.pieces.RAW`, a batch per topic."""
    by_topic: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        by_topic[str(message.topic())].append(message)
    return [_batch(topic, each) for topic, each in by_topic.items()]


def _batch(topic: str, messages: list[Message]) -> pa.RecordBatch:
    columns = [
        pa.repeat(pa.scalar(topic, pa.string()), len(messages)),
        [each.partition() for each in messages],
        [each.offset() for each in messages],
        pa.array([each.timestamp()[1] * 1000 for each in messages], pa.int64()).cast(RAW.field("kafka_timestamp").type),
        [each.key() for each in messages],
        [each.value() for each in messages],
        [_headers(each) for each in messages],
    ]
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, RAW, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=RAW)


def _headers(message: Message) -> list[dict[str, object]] | None:
    headers: Any = message.headers()  # pairs: a key may stand more than once
    return [{"key": key, "value": value} for key, value in headers] if headers else None
