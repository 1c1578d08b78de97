"""Sends messages and learns the broker's word on them: the one way from a request to a topic.

The event loop itself serves the acknowledgements, from when the first can be there and every other millisecond while
any is due: a thread that waits for them would take the interpreter from the loop, and wake it, for each few.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from serving import tracing
from streaming.errors import UnavailableError
from streaming.producer import LINGER_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serving.dependency import Dependency
    from streaming.outgoing import Outgoing
    from streaming.producer import EventProducer

_UNKNOWN: Final = "the broker did not answer in time"
_POLL_SECONDS: Final = 0.002
_FIRST_SECONDS: Final = LINGER_MS / 1000
"""No acknowledgement comes sooner: so long the producer gathers."""
_CLOSE_SECONDS: Final = 10.0


class _Countdown:
    """Outcome of each message of one call; the future is done when all are known."""

    def __init__(self, size: int) -> None:
        self.errors: list[str | None] = [_UNKNOWN] * size
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = size

    def done(self, index: int, error: str | None) -> None:
        """Note one outcome."""
        self.errors[index] = error
        self._left -= 1
        if self._left == 0 and not self.finished.done():
            self.finished.set_result(None)


class Delivery:
    """The process's producer, its time limit and the broker's state.

    Args:
        producer: without a thread of its own.
        broker: whose state is noted.
        timeout_seconds: how long a call waits for its acknowledgements.
    """

    def __init__(self, producer: EventProducer, broker: Dependency, *, timeout_seconds: float) -> None:
        self._producer = producer
        self.broker = broker
        self._timeout_seconds = timeout_seconds
        self._due = 0
        self._posted: dict[str, Callable[[], None]] = {}
        self._polling: asyncio.TimerHandle | None = None

    async def send(self, messages: Sequence[Outgoing], *, extra_seconds: float = 0) -> list[bool]:
        """Send messages and return, for each, whether the broker acknowledged it in time.

        False may also mean unknown: the message can still arrive, so it must be sent again only under its event id.
        """
        if not messages:
            return []
        countdown = self._sent(messages)
        timer = asyncio.get_running_loop().call_later(
            self._timeout_seconds + extra_seconds, _give_up, countdown.finished
        )
        try:
            await countdown.finished
        finally:
            timer.cancel()
        failed = next(filter(None, countdown.errors), None)
        if failed is None:
            self.broker.up()
        else:
            self.broker.down(failed)
        return [error is None for error in countdown.errors]

    def post(self, message: Outgoing, *, on_failed: Callable[[Outgoing], None]) -> None:
        """Queue a message that nobody waits for.

        Args:
            message: what to send.
            on_failed: called with it when the broker did not acknowledge it; it can still arrive, so it must be sent
                again only under its event id.
        """

        def told(error: str | None) -> None:
            del self._posted[message.event_id]
            if error is None:
                self.broker.up()
            else:
                self.broker.down(error)
                on_failed(message)

        self._posted[message.event_id] = partial(on_failed, message)
        self._queue(message, tracing.headers(), told)

    async def close(self) -> int:
        """Wait for what is due and end the producer; return how many messages are left."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                while self._due:
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            pass
        if self._polling is not None:
            self._polling.cancel()
        for failed in self._posted.values():
            failed()
        return self._producer.close(0)

    def _sent(self, messages: Sequence[Outgoing]) -> _Countdown:
        """Queue messages and see to it that their acknowledgements are served."""
        countdown, headers = _Countdown(len(messages)), tracing.headers()
        for index, message in enumerate(messages):
            self._queue(message, headers, partial(countdown.done, index))
        return countdown

    def _queue(self, message: Outgoing, headers: dict[str, bytes], told: Callable[[str | None], None]) -> None:
        try:
            self._producer.send(
                message.topic, key=message.key, value=message.value, headers=headers, on_done=partial(self._done, told)
            )
        except UnavailableError as error:
            # As much waits as may: what has come of it makes room for the next.
            self._producer.poll()
            told(str(error))
            return
        self._due += 1
        if self._polling is None:
            self._polling = asyncio.get_running_loop().call_later(_FIRST_SECONDS, self._poll)

    def _done(self, told: Callable[[str | None], None], error: str | None) -> None:
        self._due -= 1
        told(error)

    def _poll(self) -> None:
        self._producer.poll()
        again = self._due > 0
        self._polling = asyncio.get_running_loop().call_later(_POLL_SECONDS, self._poll) if again else None


def _give_up(finished: asyncio.Future[None]) -> None:
    if not finished.done():
        finished.set_result(None)
