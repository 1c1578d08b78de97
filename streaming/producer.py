"""Puts messages on topics and tells when the broker has them."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, Producer

from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import KafkaError, Message

    from streaming.outgoing import Outgoing

    Report = Callable[[KafkaError | None, Message], None]

LINGER_MS: Final = 5
"""How long messages are gathered before they go to the broker together."""

_POLL_SECONDS: Final = 0.1
"""How long the poll thread waits for acknowledgements at a time: an upper bound of closing, not of delivery."""


def configuration(
    bootstrap_servers: str, *, client_id: str, delivery_timeout_ms: int, queue_messages: int
) -> dict[str, str | int | bool]:
    """Return librdkafka's settings of every producer here: acknowledged by all replicas, idempotent, never a new topic.

    Args:
        bootstrap_servers: the brokers.
        client_id: name of the process in the broker's log.
        delivery_timeout_ms: how long a message may wait for its acknowledgement before it counts as failed.
        queue_messages: how many messages may wait here.
    """
    return {
        "bootstrap.servers": bootstrap_servers,
        "client.id": client_id,
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": LINGER_MS,
        "delivery.timeout.ms": delivery_timeout_ms,
        "queue.buffering.max.messages": queue_messages,
        "allow.auto.create.topics": False,
        "log_level": 0,
    }


class EventProducer:
    """One producer of a process: acknowledged by all replicas, idempotent, compressed, in batches of 5 ms.

    Make it after any fork. `send` never waits for the broker.

    Args:
        bootstrap_servers: the brokers.
        client_id: name of the process in the broker's log.
        delivery_timeout_ms: how long a message may wait for its acknowledgement before it counts as failed.
        queue_messages: how many messages may wait here.
        own_thread: serve the acknowledgements in a thread; else whoever made it calls `poll`, and `on_done` runs there.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str,
        delivery_timeout_ms: int = 120_000,
        queue_messages: int = 100_000,
        own_thread: bool = True,
    ) -> None:
        self._producer = Producer(
            configuration(
                bootstrap_servers,
                client_id=client_id,
                delivery_timeout_ms=delivery_timeout_ms,
                queue_messages=queue_messages,
            )
        )
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        if own_thread:
            self._thread = threading.Thread(target=self._serve, name="kafka-acknowledgements", daemon=True)
            self._thread.start()

    def send(
        self,
        topic: str,
        *,
        key: str,
        value: bytes | None,
        headers: dict[str, bytes] | None = None,
        on_done: Callable[[str | None], None],
    ) -> None:
        """Queue one message, and be told of it alone.

        Args:
            topic: where to.
            key: decides the partition.
            value: the message; None removes the key from a compacted topic.
            headers: trace and redrive fields.
            on_done: called with None when the broker has the message, else with the error's text.

        Raises:
            UnavailableError: too many messages wait for the broker already.
        """
        try:
            self._producer.produce(
                topic, key=key.encode(), value=value, headers=_listed(headers), on_delivery=partial(_told, on_done)
            )
        except (BufferError, KafkaException) as error:
            raise UnavailableError(_refusal(topic, error)) from error

    def send_all(self, messages: Sequence[Outgoing], *, headers: dict[str, bytes], on_done: Report) -> dict[int, str]:
        """Queue messages in their order, under one report: a function of its own for each costs more than the message.

        Args:
            messages: what to send.
            headers: of each.
            on_done: called as librdkafka does, with an error or None and a copy of the message.

        Returns:
            Why a message was not taken, by its place; of those there is no report.
        """
        produce, listed, refused = self._producer.produce, _listed(headers), dict[int, str]()
        for place, (topic, key, value, _) in enumerate(messages):
            try:
                produce(topic, key=key.encode(), value=value, headers=listed, on_delivery=on_done)
            except (BufferError, KafkaException) as error:
                refused[place] = _refusal(topic, error)
        return refused

    @property
    def due(self) -> int:
        """Messages of which nothing was told yet."""
        return len(self._producer)

    def poll(self) -> None:
        """Serve the acknowledgements that have come; never waits."""
        self._producer.poll(0)

    def flush(self, timeout: float) -> int:
        """Wait until all that is queued is acknowledged or failed; return how many are left after `timeout` seconds."""
        return int(self._producer.flush(timeout))

    def close(self, timeout: float = 10) -> int:
        """Flush, end the thread and return how many messages are left."""
        left = self.flush(timeout)
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        return left

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_SECONDS)


def _listed(headers: dict[str, bytes] | None) -> list[tuple[str, str | bytes | None]] | None:
    """Return headers as librdkafka takes them; an empty list would cost as much as the rest of the call."""
    return [*headers.items()] if headers else None


def _refusal(topic: str, error: BufferError | KafkaException) -> str:
    if isinstance(error, BufferError):
        return "too many messages wait for the Kafka broker; try again later"
    return f"the message for {topic} was not taken: {error.args[0].str()}"


def _told(on_done: Callable[[str | None], None], error: KafkaError | None, _message: Message) -> None:
    on_done(None if error is None else error.str())
