"""What a listener likes at this moment, and which of it this process may keep: Redis says what changed.

Until then an answer needs no word with Redis (server-assisted client-side caching, Redis' documentation).
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from music_assets.recommender import features
from streaming import online
from streaming.errors import IntegrityError, UnavailableError
from streaming.events import EventType
from streaming.features import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming.features import RecentItem

_MOST_LISTENERS: Final = 20_000
_MOST_ITEMS: Final = 300_000
"""Items of all histories kept, some 160 bytes each."""

_EPOCH: Final = online.EPOCH_KEY.encode()
_COUNTS: Final = features.PREFIX.encode()


class History(msgspec.Struct, frozen=True, gc=False):
    """What a listener heard.

    Attributes:
        heard: item id to listens.
        mark: tells it from another one.
    """

    heard: Mapping[str, float]
    mark: int


NOTHING: Final = History({}, 0)


def taste(counts: Mapping[str, float], recent: Sequence[RecentItem]) -> dict[str, float]:
    """Return how often each item was heard, with what was heard since the counts were made.

    An item that is in both is not counted again: which of its listens the counts hold is not known. Of somebody who
    has not heard anything yet, what they looked at, clicked on or rated speaks instead.

    Args:
        counts: item id to listens, as of the last training.
        recent: what the listener did lately.
    """
    heard = {item.item_id: 1.0 for item in recent if item.event_type is EventType.LISTEN}
    if counts or heard:
        return heard | dict(counts)
    return {item.item_id: 1.0 for item in recent}


def read(counts: bytes | None, lately: bytes | None) -> History:
    """Return the history that two values of Redis say.

    Raises:
        UnavailableError: they cannot be read.
    """
    try:
        recent = decode(lately, now=datetime.now(UTC)).recent if lately else []
        heard = taste(features.decode(counts), recent)
    except (msgspec.MsgspecError, IntegrityError) as error:
        raise UnavailableError("the listener's history in Redis cannot be read; write the features again") from error
    return History(heard, hash(tuple(heard.items()))) if heard else NOTHING


class Reading:
    """One reading of a listener's values, under way; the first thing that changes meanwhile makes it old."""


class Kept:
    """The histories that Redis has not said to have changed, those asked for last."""

    def __init__(self) -> None:
        self._histories: OrderedDict[str, History | Reading] = OrderedDict()
        self._items = 0
        self._epoch: Reading | None = None
        self._stands = False

    def find(self, listener_id: str) -> History | None:
        """Return what is kept of a listener, while the stream is known to stand behind it."""
        found = self._histories.get(listener_id) if self._stands else None
        if not isinstance(found, History):
            return None
        self._histories.move_to_end(listener_id)
        return found

    def expect(self, listener_id: str) -> Reading:
        """Note that a listener's values are being read: what changes from now on may be in them or not."""
        self._forget(listener_id)
        reading = self._histories[listener_id] = Reading()
        if not self._stands:
            self._epoch = reading
        return reading

    def keep(self, listener_id: str, history: History, reading: Reading, *, stands: bool) -> None:
        """Keep what was read, unless it changed meanwhile.

        Args:
            listener_id: whose.
            history: as it was read.
            reading: of `expect`, before it was.
            stands: whether the stream stood behind it.
        """
        if self._histories.get(listener_id) is not reading:
            return
        self._forget(listener_id)
        if not stands:
            return
        self._stands = self._stands or self._epoch is reading
        self._histories[listener_id] = history
        self._items += len(history.heard)
        while self._items > _MOST_ITEMS or len(self._histories) > _MOST_LISTENERS:
            self._forget(next(iter(self._histories)))

    def changed(self, names: Sequence[bytes] | None) -> None:
        """Drop what the keys of Redis hold; with None all."""
        if names is None:
            self._histories.clear()
            self._items, self._stands, self._epoch = 0, False, None
            return
        for name in names:
            if name == _EPOCH:
                self._stands, self._epoch = False, None
            elif listener_id := _listener_of(name):
                self._forget(listener_id)

    def _forget(self, listener_id: str) -> None:
        dropped = self._histories.pop(listener_id, None)
        if isinstance(dropped, History):
            self._items -= len(dropped.heard)


def _listener_of(name: bytes) -> str | None:
    if name.startswith(_COUNTS):
        return name[len(_COUNTS) :].decode(errors="surrogateescape")
    return online.listener_of(name)
