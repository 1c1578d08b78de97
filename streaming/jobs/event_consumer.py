"""Reads the event topics as one member of a consumer group, from wherever it is told to begin."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streaming.errors import ConfigurationError, UnavailableError
from streaming.topics import event_topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import KafkaError, Message

_LINGER_SECONDS: Final = 0.01
"""How long a batch waits for more after its first message: a batch costs three round trips to Redis."""

_SESSION_MS: Final = 6_000
"""After this the partitions of a killed member go to another; less than a broker allows by default is refused."""

_QUEUE_KB: Final = 4_096
"""Fetched ahead per partition: a second's work, and 48 MB for the twelve partitions of the event topics."""


class EventConsumer:
    """One member of the group.

    Offsets are committed for people and their tools only: where to begin is the caller's knowledge, and until `place`
    says it nothing is read.

    Args:
        bootstrap_servers: the brokers.
        group: the consumer group.
        instance: name under which a restarted member gets its partitions back at once; None: a passing member.

    Attributes:
        assigned: topic and partition of what this member is to read.
        placed: whether it was told where to begin; a change of the assignment or an error makes it False.
    """

    def __init__(self, bootstrap_servers: str, *, group: str, instance: str | None) -> None:
        self.assigned: list[tuple[str, int]] = []
        self.placed = False
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": group,
                "client.id": group,
                **({"group.instance.id": instance} if instance else {}),
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "partition.assignment.strategy": "range",
                "session.timeout.ms": _SESSION_MS,
                "heartbeat.interval.ms": _SESSION_MS // 3,
                "queued.max.messages.kbytes": _QUEUE_KB,
                "fetch.queue.backoff.ms": 20,
                "log_level": 0,
            }
        )
        self._consumer.subscribe(
            [topic.name for topic in event_topics()],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assigned = sorted((each.topic, each.partition) for each in partitions)
        self.placed = False
        consumer.assign([])

    def _on_revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self.assigned = []
        self.placed = False

    def place(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Read on from these offsets, one per assigned partition.

        Raises:
            UnavailableError: the group takes no assignment now.
        """
        try:
            self._consumer.assign([TopicPartition(*partition, offset) for partition, offset in offsets.items()])
        except KafkaException as error:
            raise _unavailable(error.args[0]) from error
        self.placed = True

    def unplace(self) -> None:
        """Read nothing until the next `place`."""
        if self.placed:
            self.placed = False
            with suppress(KafkaException):  # no member any more: there is nothing to stop
                self._consumer.assign([])

    def take(self, limit: int, seconds: float) -> list[Message]:
        """Return what waits, oldest first within a partition; empty while not placed.

        Args:
            limit: messages at most.
            seconds: to wait for the first.

        Raises:
            ConfigurationError: another process took this member's name.
            UnavailableError: the broker refused something; `placed` is False then.
        """
        try:
            first = self._consumer.poll(seconds)
            found = [first, *self._consumer.consume(limit - 1, timeout=_LINGER_SECONDS)] if first is not None else []
        except KafkaException as error:
            self.unplace()
            raise _unavailable(error.args[0]) from error
        if not self.placed:
            return []
        for message in found:
            if (refused := message.error()) is not None:
                self.unplace()
                raise _unavailable(refused)
        return found

    def stay(self) -> None:
        """Stay a member of the group while nothing is read.

        Raises:
            ConfigurationError: another process took this member's name.
        """
        self.take(1, 0)

    def end_offset(self, topic: str, partition: int) -> int | None:
        """Return the end of a partition as of the last answer of the broker, None when there was none yet."""
        _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
        return end if end >= 0 else None

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Tell the group how far this member is; a broker that does not take it is no error."""
        if offsets:
            parts = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
            with suppress(KafkaException):
                self._consumer.commit(offsets=parts, asynchronous=True)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


def _unavailable(error: KafkaError) -> ConfigurationError | UnavailableError:
    if error.fatal():
        # The one that happens: two processes with one group.instance.id.
        return ConfigurationError(
            f"FEATURES_PORT: another process of this host takes the events in with the same one ({error.str()})"
        )
    return UnavailableError(f"Kafka does not give the events: {error.name()}")
