"""Sends messages and waits for the broker's word: the one way from a request to a topic.

The producer's poll thread tells of each message; a countdown per call wakes the waiting request once, because an
event-loop callback per message would cost more than the message.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from serving import tracing
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.dependency import Dependency
    from streaming.outgoing import Outgoing
    from streaming.producer import EventProducer

_UNKNOWN: Final = "the broker did not answer in time"


class _Countdown:
    """Outcome of each message of one call; the future is done when all are known."""

    def __init__(self, size: int) -> None:
        self.errors: list[str | None] = [_UNKNOWN] * size
        self._left = size
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = self._loop.create_future()

    def done(self, index: int, error: str | None) -> None:
        """Note one outcome; called from the poll thread."""
        self.errors[index] = error
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


class Delivery:
    """The process's producer, its time limit and the broker's state."""

    def __init__(self, producer: EventProducer, broker: Dependency, *, timeout_seconds: float) -> None:
        self._producer = producer
        self.broker = broker
        self._timeout_seconds = timeout_seconds

    async def send(self, messages: Sequence[Outgoing], *, extra_seconds: float = 0) -> list[bool]:
        """Send messages and return, for each, whether the broker acknowledged it in time.

        False may also mean unknown: the message can still arrive, so it must be sent again only under its event id.
        """
        if not messages:
            return []
        countdown, trace = _Countdown(len(messages)), tracing.headers()
        for index, message in enumerate(messages):
            try:
                self._producer.send(
                    message.topic, key=message.key, value=message.value, headers=trace,
                    on_done=partial(countdown.done, index),
                )  # fmt: skip
            except UnavailableError as error:
                countdown.done(index, str(error))
        await asyncio.wait({countdown.finished}, timeout=self._timeout_seconds + extra_seconds)
        failed = next((error for error in countdown.errors if error is not None), None)
        if failed is None:
            self.broker.up()
        else:
            self.broker.down(failed)
        return [error is None for error in countdown.errors]

    async def close(self) -> int:
        """Flush and end the producer; return how many messages are left."""
        return await asyncio.to_thread(self._producer.close)
