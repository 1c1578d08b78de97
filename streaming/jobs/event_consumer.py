"""Reads every partition of the event topics from wherever it is told to begin."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import KafkaError, Message

_LINGER_SECONDS: Final = 0.02
"""How long a batch waits for more after its first message: a batch costs three round trips to Redis."""

_QUEUE_KB: Final = 1_024
"""Fetched ahead per partition: a tenth of a second of work, and 12 MB for the twelve partitions of the event topics."""

_CLOSE_SECONDS: Final = 3.0


class EventConsumer:
    """The consumer of one group.

    It takes its partitions itself and commits offsets for people and their tools only: where to begin is the caller's
    knowledge. So a restarted process waits for no session of its killed forerunner, and a broker that restarts has no
    membership to deny.

    Args:
        bootstrap_servers: the brokers.
        group: whose offsets are committed.

    Attributes:
        placed: whether it was told where to begin; an error makes it False.
    """

    def __init__(self, bootstrap_servers: str, *, group: str) -> None:
        self.placed = False
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": group,
                "client.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": _QUEUE_KB,
                "fetch.queue.backoff.ms": 20,
                "log_level": 0,
            }
        )

    def place(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Read on from these offsets, by topic and partition.

        Raises:
            UnavailableError: Kafka takes no assignment now.
        """
        try:
            self._consumer.assign(_parts(offsets))
        except KafkaException as error:
            raise _unavailable(error.args[0]) from error
        self.placed = True

    def unplace(self) -> None:
        """Read nothing until the next `place`."""
        if self.placed:
            self.placed = False
            self._consumer.unassign()

    def take(self, limit: int, seconds: float) -> list[Message]:
        """Return what waits, oldest first within a partition.

        Args:
            limit: messages at most.
            seconds: to wait for the first.

        Raises:
            UnavailableError: Kafka refused something; `placed` is False then.
        """
        try:
            first = self._consumer.poll(seconds)
            found = [first, *self._consumer.consume(limit - 1, timeout=_LINGER_SECONDS)] if first is not None else []
        except KafkaException as error:
            self.unplace()
            raise _unavailable(error.args[0]) from error
        for message in found:
            if (refused := message.error()) is not None:
                self.unplace()
                raise _unavailable(refused)
        return found

    def end_offset(self, topic: str, partition: int) -> int | None:
        """Return the end of a partition as of the last answer of the broker, None when there was none yet."""
        _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
        return end if end >= 0 else None

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Tell the group how far it is; a broker that does not take it is no error."""
        if offsets:
            with suppress(KafkaException):
                self._consumer.commit(offsets=_parts(offsets), asynchronous=True)

    def close(self) -> None:
        """Close the connections, without waiting long for a broker that is away to take the last commit."""
        closing = threading.Thread(target=self._consumer.close, name="close-kafka", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


def _parts(offsets: Mapping[tuple[str, int], int]) -> list[TopicPartition]:
    return [TopicPartition(*partition, offset) for partition, offset in offsets.items()]


def _unavailable(error: KafkaError) -> UnavailableError:
    return UnavailableError(f"Kafka does not give the events ({error.name()}); is it up?")
