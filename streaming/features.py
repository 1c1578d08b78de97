"""What is known of a listener at this moment, as one packed value: recent items, counts, last seen.

The value is a function of the set of events: late ones and those out of order end where they would have been.

- Recent items are ordered by event time, each once per event type, fifty at most, of which `LONG_ITEMS` may have ids
  longer than `SHORT_ID` bytes. An event older than those changes the counts only.
- An event counts in the total whatever its age, and in the last day if its time lies in the current hour of the clock
  or in the 23 before it.
- `last_seen` is the time of the latest event, not of the one that came last.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import msgspec

from streaming.errors import IntegrityError
from streaming.events import EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS: Final = (EventType.VIEW, EventType.CLICK, EventType.RATING, EventType.LISTEN)
"""Values hold the place of a type in here: add new ones at the end only."""

RECENT_ITEMS: Final = 50
SHORT_ID: Final = 80
"""Bytes. Ids of services and those that the collectors make of names are shorter; an id may have 800."""
LONG_ITEMS: Final = 4
RECENT_BYTES: Final = 8192
"""Upper bound of the packed recent items: 50 short ones of 94 bytes and 4 long ones of 814.

Each length has its own bound of items because a common bound of bytes would make the value hang on the order of the
events: what goes beyond it is forgotten, and lets an older one in."""

DAY_HOURS: Final = 24

REVISION_BYTES: Final = 2 + 9 + 9 * len(KINDS)
"""Room for the two heads, `since` and the totals, packed as long as they can be."""

_HOUR: Final = 3_600_000_000
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_KIND_INDEX: Final = {kind: index for index, kind in enumerate(KINDS)}


class Seen(NamedTuple):
    """An event as far as features go.

    Attributes:
        kind: its type, by the place in `KINDS`.
        item_id: with its kind.
        at: microseconds since 1970.
        digest: of its id; 0: the event is surely new, and its id need not be kept.
    """

    kind: int
    item_id: str
    at: int
    digest: int


class RecentItem(msgspec.Struct, array_like=True, frozen=True):
    """An item a listener had to do with: when last (microseconds since 1970, event time), how, and which."""

    at: int
    kind: int
    item_id: str

    @property
    def event_type(self) -> EventType:
        """What the listener did with it."""
        return KINDS[self.kind]


@dataclass(frozen=True, kw_only=True)
class Features:
    """What is known of a listener.

    Attributes:
        since: when counting began; None: nothing is known of this listener.
        last_seen: time of the latest event.
        total: events by type since then, each event id once.
        last_day: those of the last 24 hours of the clock, the current one included.
        recent: the latest items, newest first.
    """

    since: datetime | None
    last_seen: datetime | None
    total: dict[EventType, int]
    last_day: dict[EventType, int]
    recent: list[RecentItem]


_Recent = TypeVar("_Recent")
_Written = tuple[int, int, str]


class _State(msgspec.Struct, Generic[_Recent], array_like=True):
    """A value as it is packed; times in microseconds since 1970, hours by their number since 1970.

    Its begin tells one state of a listener from every other: each change adds to the total.
    """

    since: int
    total: list[int]
    last_seen: int
    hours: list[tuple[int, list[int]]]
    recent: list[_Recent]


_encoder: Final = msgspec.msgpack.Encoder()
_writer: Final = msgspec.msgpack.Decoder(_State[_Written])
_reader: Final = msgspec.msgpack.Decoder(_State[RecentItem])


def revision(value: bytes | None) -> bytes:
    """Return the part of a value by which one state of a listener differs from every other."""
    return (value or b"")[:REVISION_BYTES]


def microseconds(moment: datetime) -> int:
    """Return a time with a zone as microseconds since 1970."""
    return (moment - _START) // _MICROSECOND


def digest(kind: int, event_id: str) -> int:
    """Return what stands for an event id among a listener's: one id is one event per type, as silver has tables."""
    return int.from_bytes(blake2b(f"{kind}:{event_id}".encode(), digest_size=8).digest(), signed=True)


def seen(event_type: EventType, item_id: str, timestamp: datetime, event_id: str) -> Seen:
    """Return an event as features see it."""
    kind = _KIND_INDEX[event_type]
    return Seen(kind, item_id, microseconds(timestamp), digest(kind, event_id))


def merge(value: bytes | None, events: Iterable[Seen], *, now: int, since: int | None = None) -> bytes:
    """Return a listener's value with events added that are not in it yet.

    Args:
        value: as stored; None: nothing is known yet.
        events: the new ones.
        now: microseconds since 1970; what is older than the last day leaves the hourly counts.
        since: when counting began, where it was before `now`.

    Raises:
        IntegrityError: the value cannot be read.
    """
    state = _unpack(_writer, value) if value else _State[_Written](now, [0] * len(KINDS), 0, [], [])
    state.since = min(state.since, since or now)
    first_hour = now // _HOUR - DAY_HOURS + 1
    hours = {hour: counts for hour, counts in state.hours if hour >= first_hour}
    latest = {(kind, item): at for at, kind, item in state.recent}
    for kind, item, at, _ in events:
        state.total[kind] += 1
        state.last_seen = max(state.last_seen, at)
        if (hour := at // _HOUR) >= first_hour:
            hours.setdefault(hour, [0] * len(KINDS))[kind] += 1
        if at > latest.get((kind, item), -1):
            latest[kind, item] = at
    state.hours = sorted(hours.items(), reverse=True)
    state.recent = _newest(sorted(((at, kind, item) for (kind, item), at in latest.items()), reverse=True))
    return _encoder.encode(state)


def decode(value: bytes | None, *, now: datetime) -> Features:
    """Return the features that a stored value holds; those of a listener nobody knows are empty.

    Raises:
        IntegrityError: the value cannot be read.
    """
    if not value:
        nothing = dict.fromkeys(KINDS, 0)
        return Features(since=None, last_seen=None, total=nothing, last_day=dict(nothing), recent=[])
    state = _unpack(_reader, value)
    first_hour = microseconds(now) // _HOUR - DAY_HOURS + 1
    day = [counts for hour, counts in state.hours if hour >= first_hour]
    return Features(
        since=_moment(state.since),
        last_seen=_moment(state.last_seen),
        total=dict(zip(KINDS, state.total, strict=True)),
        last_day={kind: sum(counts[index] for counts in day) for index, kind in enumerate(KINDS)},
        recent=state.recent[:RECENT_ITEMS],
    )


def _newest(items: list[_Written]) -> list[_Written]:
    if len(items) <= LONG_ITEMS:
        return items
    room = {True: LONG_ITEMS, False: RECENT_ITEMS}
    kept = []
    for item in items:
        long = len(item[2].encode()) > SHORT_ID
        room[long] -= 1
        if room[long] >= 0:
            kept.append(item)
    return kept


def _moment(at: int) -> datetime:
    return _START + timedelta(microseconds=at)


def _unpack(decoder: msgspec.msgpack.Decoder[_State[_Recent]], value: bytes) -> _State[_Recent]:
    try:
        state = decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise IntegrityError("a listener's features in Redis cannot be read; the next event writes them") from error
    # A value from before a type was added knows nothing of it.
    for counts in (state.total, *(counts for _, counts in state.hours)):
        counts.extend([0] * (len(KINDS) - len(counts)))
    return state
