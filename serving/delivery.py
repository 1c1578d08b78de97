"""Sends messages and learns the broker's word on them: the one way from a request to a topic.

The event loop itself serves the acknowledgements, from when the first can be there and every other millisecond while
any is due: a thread that waits for them would take the interpreter from the loop, and wake it, for each few.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

from serving import tracing
from streaming.producer import LINGER_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from confluent_kafka import KafkaError, Message

    from serving.dependency import Dependency
    from streaming.outgoing import Outgoing
    from streaming.producer import EventProducer, Report

_POLL_SECONDS: Final = 0.002
_FIRST_SECONDS: Final = LINGER_MS / 1000
"""No acknowledgement comes sooner: so long the producer gathers."""
_CLOSE_SECONDS: Final = 10.0


class _Reports:
    """The broker's word on the messages of one call; the future is done when there is one on each."""

    def __init__(self, messages: Sequence[Outgoing]) -> None:
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.error: str | None = None
        self._messages = messages
        self._left = len(messages)
        self._taken: list[Message] = []

    def told(self, error: KafkaError | None, message: Message) -> None:
        """Take in the word on one."""
        if error is None:
            self._taken.append(message)
            self._count(1)
        else:
            self.refused([error.str()])

    def refused(self, reasons: Collection[str]) -> None:
        """Note that some will not arrive."""
        self.error = next(iter(reasons), self.error)
        self._count(len(reasons))

    def outcome(self) -> list[bool]:
        """Return for each message whether the broker has it for sure."""
        if len(self._taken) == len(self._messages):
            return [True] * len(self._messages)
        self.error = self.error or "the broker did not answer in time"
        # Of equal messages any may be the one: they are one event.
        taken = Counter((message.topic(), message.value()) for message in self._taken)
        found = []
        for message in self._messages:
            place = message.topic, message.value
            found.append(taken[place] > 0)
            taken[place] -= 1
        return found

    def _count(self, more: int) -> None:
        self._left -= more
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
        self._posted: dict[str, Callable[[], None]] = {}
        self._polling: asyncio.TimerHandle | None = None

    async def send(self, messages: Sequence[Outgoing], *, extra_seconds: float = 0) -> list[bool]:
        """Send messages and return, for each, whether the broker acknowledged it in time.

        False may also mean unknown: the message can still arrive, so it must be sent again only under its event id.
        """
        if not messages:
            return []
        reports = _Reports(messages)
        reports.refused(self._queue(messages, reports.told).values())
        timer = asyncio.get_running_loop().call_later(self._timeout_seconds + extra_seconds, _give_up, reports.finished)
        try:
            await reports.finished
        finally:
            timer.cancel()
        outcome = reports.outcome()
        self._note(reports.error)
        return outcome

    def post(self, message: Outgoing, *, on_failed: Callable[[Outgoing], None]) -> None:
        """Queue a message that nobody waits for.

        Args:
            message: what to send.
            on_failed: called with it when the broker did not acknowledge it; it can still arrive, so it must be sent
                again only under its event id.
        """

        def told(error: KafkaError | None, _: Message) -> None:
            self._settle(message, None if error is None else error.str())

        self._posted[message.event_id] = partial(on_failed, message)
        for reason in self._queue([message], told).values():
            self._settle(message, reason)

    async def close(self) -> int:
        """Wait for what is due and end the producer; return how many messages are left."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                while self._producer.due:
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            pass
        if self._polling is not None:
            self._polling.cancel()
        for failed in self._posted.values():
            failed()
        return self._producer.close(0)

    def _settle(self, message: Outgoing, error: str | None) -> None:
        failed = self._posted.pop(message.event_id)
        self._note(error)
        if error is not None:
            failed()

    def _note(self, error: str | None) -> None:
        if error is None:
            self.broker.up()
        else:
            self.broker.down(error)

    def _queue(self, messages: Sequence[Outgoing], told: Report) -> dict[int, str]:
        """Queue messages and see to it that what becomes of them is told."""
        refused = self._producer.send_all(messages, headers=tracing.headers(), on_done=told)
        if refused:
            # As much waits as may: what has come of it makes room for the next.
            self._producer.poll()
        if self._polling is None:
            self._polling = asyncio.get_running_loop().call_later(_FIRST_SECONDS, self._poll)
        return refused

    def _poll(self) -> None:
        self._producer.poll()
        again = self._producer.due > 0
        self._polling = asyncio.get_running_loop().call_later(_POLL_SECONDS, self._poll) if again else None


def _give_up(finished: asyncio.Future[None]) -> None:
    if not finished.done():
        finished.set_result(None)
