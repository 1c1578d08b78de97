"""Plays as they come: what this process accepts at once, what comes in otherwise from the online store.

Redis is asked once a second, in one round trip, for those listeners only that somebody watches. It holds the latest
time of an item, so a play is told by its item and time, and one that this process has told already is not told again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from serving.lately import keep
from streaming.errors import UnavailableError
from streaming.events import EventType
from streaming.features import microseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.cache import Cache
    from streaming.features import Features
    from streaming.outgoing import Sent

MOST: Final = 200
"""Streams of this process at once."""
MOST_OF_ONE: Final = 8
"""Streams of one listener: as many as a person has pages open."""
_WAITING: Final = 100
"""Plays that wait for a slow reader; then the oldest are dropped."""
_TOLD: Final = 500
_EVERY_SECONDS: Final = 1.0
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Heard(NamedTuple):
    """A play of a listener; `event_id` is None where it is not known."""

    item_id: str
    played_at: datetime
    event_id: str | None = None
    ms_played: int | None = None
    source: str | None = None


Stream = asyncio.Queue[Heard | None]
"""None ends it."""


@dataclass
class _Watched:
    streams: list[Stream] = field(default_factory=list)
    told: OrderedDict[tuple[str, int], None] = field(default_factory=OrderedDict)
    is_known: bool = False
    """Whether the online store was read once: what it held then is not news."""


def heard(features: Features) -> list[Heard]:
    """Return the plays that the online store knows of a listener, the newest first."""
    return [
        Heard(each.item_id, _START + timedelta(microseconds=each.at))
        for each in features.recent
        if each.event_type is EventType.LISTEN
    ]


class Feed:
    """Who watches whose plays."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._watched: dict[str, _Watched] = {}
        self._closed = False

    @property
    def size(self) -> int:
        """Streams that are open."""
        return sum(len(each.streams) for each in self._watched.values())

    @contextmanager
    def follow(self, listener_id: str) -> Iterator[Stream]:
        """Watch a listener.

        Raises:
            UnavailableError: as many as may be are open, or the process ends.
        """
        watched = self._watched.get(listener_id)
        if self._closed or self.size >= MOST or (watched and len(watched.streams) >= MOST_OF_ONE):
            raise UnavailableError("too many streams are open; close one, or try again later")
        watched = self._watched.setdefault(listener_id, watched or _Watched())
        stream: Stream = asyncio.Queue(_WAITING)
        watched.streams.append(stream)
        try:
            yield stream
        finally:
            watched.streams.remove(stream)
            if not watched.streams and self._watched.get(listener_id) is watched:
                del self._watched[listener_id]

    def publish(self, event: Sent) -> None:
        """Tell of an event that was addressed and accepted, if it is a play of somebody who is watched."""
        if (watched := self._watched.get(event.user_id)) is not None and event.event_type is EventType.LISTEN:
            _tell(watched, Heard(event.item_id, event.timestamp, event.event_id, event.ms_played, event.source))

    def end(self, listener_id: str) -> None:
        """End the streams of a listener who was erased or pauses."""
        for stream in self._watched.get(listener_id, _Watched()).streams:
            _put(stream, None)

    def close(self) -> None:
        """End every stream, because the process ends: a browser comes again, to another one."""
        self._closed = True
        for listener_id in self._watched:
            self.end(listener_id)

    async def watch(self) -> None:
        """Look for what came in otherwise, for ever."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Look once for what came in otherwise; while Redis is away nothing is told."""
        if not (listener_ids := list(self._watched)):
            return
        try:
            found = await self._cache.features(listener_ids)
        except UnavailableError:
            return
        for listener_id, features in zip(listener_ids, found, strict=True):
            if (watched := self._watched.get(listener_id)) is not None:
                # The oldest first: they are told in the order in which they were played.
                for play in reversed(heard(features)):
                    _tell(watched, play, is_news=watched.is_known)
                watched.is_known = True


def _tell(watched: _Watched, play: Heard, *, is_news: bool = True) -> None:
    name = (play.item_id, microseconds(play.played_at))
    if name in watched.told:
        return
    keep(watched.told, name, None, most=_TOLD)
    if is_news:
        for stream in watched.streams:
            _put(stream, play)


def _put(stream: Stream, play: Heard | None) -> None:
    if stream.full():
        stream.get_nowait()
    stream.put_nowait(play)
