"""Gives each event its verdict, and sends later what could not be sent at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import structlog

from serving.events.edge import Refusal
from serving.events.schemas import EventResult, IngestAnswer, Verdict
from serving.spool import Spooled
from serving.wire import encode, written
from streaming.errors import UnavailableError
from streaming.outgoing import SENT, Outgoing, address
from streaming.topics import event_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serving.access.callers import Caller
    from serving.cache import Cache
    from serving.delivery import Delivery
    from serving.identity.service import Identity
    from serving.metrics import Metrics
    from serving.plays.feed import Feed
    from serving.privacy.choices import Choices
    from serving.spool import Spool
    from streaming.outgoing import Sent

ANSWER: Final = written(IngestAnswer)
RESULT: Final = written(EventResult)

_decode: Final = cast("Callable[[bytes], Sent]", msgspec.json.Decoder(SENT).decode)

_PAGE: Final = 500
_DRAIN_SECONDS: Final = 0.5
"""Time between two looks at a spool that could not be emptied."""

_DRAIN_EXTRA_SECONDS: Final = 2.0
"""The drain waits longer than the producer gives up, so that its outcomes are known and nothing is sent twice."""

_NOT_YOURS: Final = Refusal("user_id", "user_id: this key sends the events of another person only", None)
_NOT_WANTED: Final = Refusal("user_id", "user_id: this user was erased or has paused, nothing of theirs is kept", None)

_log = structlog.get_logger()


class Outbox:
    """Sends messages to the broker, or keeps them until it takes them."""

    def __init__(self, delivery: Delivery, spool: Spool, *, identity: Identity, cache: Cache) -> None:
        self._delivery = delivery
        self._spool = spool
        self._identity = identity
        self._cache = cache
        self._failed: list[tuple[Outgoing, Callable[[str], None]]] = []
        self._keeping: asyncio.Task[None] | None = None

    async def put(self, messages: Sequence[Outgoing], *, waiting: Sequence[Spooled] = ()) -> list[bool]:
        """Make messages safe and return, for each, whether the broker has it (else the spool).

        Args:
            messages: what to send.
            waiting: what cannot be sent yet, for the same transaction of the spool.

        Raises:
            UnavailableError: neither the broker nor the spool takes them.
        """
        sent = await self._delivery.send(messages) if self._delivery.broker.allows() else [False] * len(messages)
        left = [_addressed(message) for message, done in zip(messages, sent, strict=True) if not done]
        if left or waiting:
            await self._spool.append([*left, *waiting])
        return sent

    def post(self, message: Outgoing, *, on_lost: Callable[[str], None]) -> None:
        """Send a message that no answer waits for; what the broker does not take is spooled.

        Args:
            message: what to send.
            on_lost: called with the reason when neither takes it.
        """

        def keep(failed: Outgoing) -> None:
            self._failed.append((failed, on_lost))
            if self._keeping is None or self._keeping.done():
                self._keeping = asyncio.create_task(self._keep_failed())

        if self._delivery.broker.allows():
            self._delivery.post(message, on_failed=keep)
        else:
            keep(message)

    async def settle(self) -> None:
        """Wait until what was posted and failed is in the spool."""
        if self._keeping is not None:
            await self._keeping

    async def _keep_failed(self) -> None:
        # Many together, as each transaction of the spool waits for the disk; not all, as a full one takes none of them.
        while failed := self._failed[:_PAGE]:
            del self._failed[:_PAGE]
            try:
                await self._spool.append([_addressed(message) for message, _ in failed])
            except UnavailableError as error:
                for _, on_lost in failed:
                    on_lost(str(error))

    async def drain(self) -> None:
        """Send what is spooled, for ever."""
        while True:
            await asyncio.sleep(_DRAIN_SECONDS)
            if self._spool.count == 0:
                continue
            try:
                if sent := await self.drain_once():
                    _log.info("spool drained", sent=sent, left=self._spool.count)
            except UnavailableError as error:
                _log.warning("spool not drained", error=str(error))

    async def drain_once(self) -> int:
        """Send what is spooled, the oldest first, until the broker refuses; return how many it took."""
        total, after = 0, 0
        while True:
            # A broker that was away gets one event as a probe, not a full page that would time out as a whole.
            size = _PAGE if self._delivery.broker.state == "up" else 1
            if not (page := await self._spool.page(after=after, size=size)):
                return total
            after = page[-1].seq
            messages, unwanted = await self._address(page)
            done = await self._delivery.send(list(messages.values()), extra_seconds=_DRAIN_EXTRA_SECONDS)
            places = [*unwanted, *(place for place, sent in zip(messages, done, strict=True) if sent)]
            await self._spool.remove(places)
            total += len(places)
            if not all(done):
                return total
            await self._cache.marks.mark([message.event_id for message in messages.values()])

    async def _address(self, page: Sequence[Spooled]) -> tuple[dict[int, Outgoing], list[int]]:
        """Messages of a page by their place, and the places of what nobody may keep; a listener who cannot be found out
        yet is in neither."""
        strangers = [event.key for event in page if not event.mapped]
        known, complete = await self._identity.resolve(strangers, create=True)
        messages: dict[int, Outgoing] = {}
        unwanted: list[int] = []
        for spooled in page:
            if spooled.mapped:
                messages[spooled.seq] = Outgoing(spooled.topic, spooled.key, spooled.value, spooled.event_id or "")
            elif listener_id := known.get(spooled.key):
                messages[spooled.seq] = address(_decode(spooled.value), listener_id)
            elif complete:
                unwanted.append(spooled.seq)
        return messages, unwanted


class Ingest:
    """Decides about each event of a request."""

    def __init__(
        self, outbox: Outbox, *, identity: Identity, choices: Choices, cache: Cache, metrics: Metrics, feed: Feed
    ) -> None:
        self._outbox = outbox
        self._feed = feed
        self._identity = identity
        self._choices = choices
        self._cache = cache
        self._metrics = metrics

    async def take(self, found: Sequence[Sent | Refusal], asker: Caller) -> Any:
        """Return the verdicts on a request's events, an `IngestAnswer` as it is written.

        Args:
            found: each event as it was read.
            asker: whose events they may be.

        Raises:
            UnavailableError: events could be kept nowhere; the request is to be sent again.
        """
        results: list[Any] = [None] * len(found)
        # An event that was refused for what it is belongs to no topic.
        topics = ["none"] * len(found)
        events: dict[int, Sent] = {}
        for index, each in enumerate(found):
            if isinstance(each, Refusal):
                results[index] = _rejected(index, each)
            elif asker.owns(each.user_id):
                events[index] = each
                topics[index] = _topic(each)
            else:
                results[index] = _rejected(index, _NOT_YOURS)
        if events:
            await self._keep(events, results)
        counts = self._metrics.ingest(zip(topics, [each.verdict for each in results], strict=True))
        return ANSWER(
            accepted=counts["accepted"], spooled=counts["spooled"], rejected=counts["rejected"], results=results
        )

    async def _keep(self, events: dict[int, Sent], results: list[Any]) -> None:
        """Make events safe and put the verdict on each into its place."""
        known, complete = await self._identity.resolve([event.user_id for event in events.values()], create=True)
        messages: dict[int, Outgoing] = {}
        strangers: dict[int, Spooled] = {}
        for index, event in events.items():
            listener_id = known.get(event.user_id)
            if listener_id is not None and not self._choices.has_paused(listener_id):
                messages[index] = address(event, listener_id)
            elif listener_id is None and not complete:
                strangers[index] = _unaddressed(event)
                results[index] = RESULT(index=index, verdict="spooled", event_id=event.event_id)
            else:
                results[index] = _rejected(index, _NOT_WANTED)
        sent = await self._outbox.put(list(messages.values()), waiting=list(strangers.values()))
        accepted = [message.event_id for message, done in zip(messages.values(), sent, strict=True) if done]
        marks = iter((await self._cache.marks.mark(accepted) if accepted else None) or ())
        for (index, message), done in zip(messages.items(), sent, strict=True):
            verdict: Verdict = "accepted" if done else "spooled"
            duplicate = next(marks, None) if done else None
            if not duplicate:
                self._feed.publish(events[index])
            results[index] = RESULT(index=index, verdict=verdict, event_id=message.event_id, duplicate=duplicate)


def _rejected(index: int, refusal: Refusal) -> Any:
    return RESULT(index=index, verdict="rejected", field=refusal.field, error=refusal.error, valid=refusal.valid)


def _topic(event: Sent) -> str:
    return event_topic(event.event_type).name


def _addressed(message: Outgoing) -> Spooled:
    return Spooled(message.topic, True, message.event_id, message.key, message.value)  # noqa: FBT003 - a record's field


def _unaddressed(event: Sent) -> Spooled:
    """An event whose listener is not known yet: kept under the client's user id until the identity store answers."""
    return Spooled(_topic(event), False, event.event_id, event.user_id, encode(event))  # noqa: FBT003
