"""Events that happen now, at a steady rate, with the moment and the place at which the broker took each."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from confluent_kafka import Producer

from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError
    from confluent_kafka import Message as Delivered

    from music_assets.bench.workload import World

_TICK_SECONDS: Final = 0.05
_FLUSH_SECONDS: Final = 60.0


class Accepted(NamedTuple):
    """An event that the broker acknowledged: when (seconds since 1970) and where."""

    at: float
    topic: str
    partition: int
    offset: int


@dataclass
class Load:
    """A steady load.

    Args:
        bootstrap_servers: the broker.
        world: where the events come from; all are good and none is sent twice.
        rate: events a second.
        remember: keep when and where each event was accepted.

    Attributes:
        accepted: by event id, when they are remembered.
        taken: number of accepted events.
        failed: number of events that the broker did not take.
    """

    bootstrap_servers: str
    world: World
    rate: float
    remember: bool = True
    accepted: dict[str, Accepted] = field(default_factory=dict)
    taken: int = 0
    failed: int = 0

    def run(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Send for a while; what a slow tick delays is made up for in the next one.

        Args:
            seconds: how long.
            stop: ends it before.

        Raises:
            UnavailableError: events were not acknowledged within a minute of the last one.
        """
        producer = Producer(
            {"bootstrap.servers": self.bootstrap_servers, "compression.type": "lz4", "linger.ms": 5, "acks": "all",
             "enable.idempotence": True, "log_level": 0}
        )  # fmt: skip
        started, made = time.monotonic(), 0
        while (passed := time.monotonic() - started) < seconds and not (stop and stop.is_set()):
            due = int(self.rate * passed) - made
            self._send(producer, made, due)
            made += due
            producer.poll(_TICK_SECONDS)
        left = producer.flush(_FLUSH_SECONDS)
        if left or self.failed:
            raise UnavailableError(f"{left + self.failed} events of the load were not acknowledged")

    def _send(self, producer: Producer, first: int, count: int) -> None:
        numbers = np.arange(first, first + count, dtype=np.int64)
        messages = self.world.messages(self.world.columns(numbers, now=datetime.now(UTC)))
        for event_id, (topic, key, value) in zip(self.world.uuids(numbers).to_pylist(), messages, strict=True):
            producer.produce(topic, key=key, value=value, on_delivery=partial(self._note, event_id))

    def _note(self, event_id: str, error: KafkaError | None, message: Delivered) -> None:
        if error is not None:
            self.failed += 1
            return
        self.taken += 1
        if not self.remember:
            return
        place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
        self.accepted[event_id] = Accepted(time.time(), *place)
