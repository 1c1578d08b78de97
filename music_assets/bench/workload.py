"""Events by number: each field is a function of the event's number, so any part can be made anywhere again.

About 220 bytes of JSON each. A stream of them holds some bad messages and some sent twice; what must become of every
one is known beforehand.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa

from streaming.events import EventType
from streaming.topics import event_topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BAD_SHARE: Final = 0.015
DUPLICATE_SHARE: Final = 0.01
KINDS: Final = (EventType.LISTEN, EventType.VIEW, EventType.CLICK, EventType.RATING)
_KIND_SHARES: Final = np.cumsum([0.4, 0.25, 0.2])
_LISTENERS: Final = 20_000
_CHUNK: Final = 50_000
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_DASHES: Final = (8, 13, 18, 23)


class Message(NamedTuple):
    """A message and the topic it goes to."""

    topic: str
    key: bytes
    value: bytes


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What must become of a stream's messages."""

    stored: int
    duplicate: int
    dead_lettered: int


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The fields of some events, in the order of their numbers.

    Attributes:
        numbers: of the events.
        kind: index into `KINDS`.
        listener: index into `World.listeners`.
        item: number of the track.
        micros: time of the event in microseconds since 1970.
        ms_played: milliseconds, for listens.
        rating: 0 to 5 in halves, for ratings.
    """

    numbers: NDArray[np.int64]
    kind: NDArray[np.int64]
    listener: NDArray[np.int64]
    item: NDArray[np.int64]
    micros: NDArray[np.int64]
    ms_played: NDArray[np.int64]
    rating: NDArray[np.float64]

    def take(self, where: NDArray[np.bool_]) -> Columns:
        """Return the events that a mask selects."""
        return Columns(**{name: column[where] for name, column in vars(self).items()})


@dataclass(frozen=True)
class World:
    """All events there can be, for a seed and a moment.

    Args:
        seed: decides every field but the time.
        anchor: no event is later than this.
        span_seconds: how far back from the anchor events lie.
        items: number of tracks; low numbers are played more often.
    """

    seed: int
    anchor: datetime
    span_seconds: float = 30 * 86_400
    items: int = 20_000

    @cached_property
    def listeners(self) -> list[str]:
        """Listener ids, as the API gives them: UUIDs."""
        texts: list[str] = self.uuids(np.arange(_LISTENERS), salt=1).to_pylist()
        return texts

    @cached_property
    def partition_of(self) -> NDArray[np.int32]:
        """Number of the partition of three that the producer's partitioner puts each listener in."""
        return np.array([zlib.crc32(each.encode()) % 3 for each in self.listeners], np.int32)

    def columns(self, numbers: NDArray[np.int64], *, now: datetime | None = None) -> Columns:
        """Return the fields of events.

        Args:
            numbers: of the events.
            now: the time of all of them; by default each has its own before the anchor.
        """
        draw = [_uniform(_mix(numbers, self.seed * 16 + salt)) for salt in range(2, 8)]
        age = np.zeros_like(draw[3]) if now is not None else draw[3] * self.span_seconds
        return Columns(
            numbers=numbers,
            kind=np.searchsorted(_KIND_SHARES, draw[0], side="right"),
            listener=(draw[1] * _LISTENERS).astype(np.int64),
            item=(draw[2] ** 3 * self.items).astype(np.int64),
            micros=(((now or self.anchor).timestamp() - age) * 1e6).astype(np.int64),
            ms_played=(draw[4] * 300_000).astype(np.int64),
            rating=np.floor(draw[5] * 11) / 2,
        )

    def uuids(self, numbers: NDArray[np.int64], salt: int = 0) -> pa.StringArray:
        """Return the event id of each number: a random-looking UUID."""
        halves = [_mix(numbers, self.seed * 16 + salt + part * 8).byteswap() for part in (0, 1)]
        raw = np.stack(halves, axis=1).view(np.uint8).reshape(-1, 16)
        digits = np.stack([_HEX[raw >> 4], _HEX[raw & 15]], axis=2).reshape(-1, 32)
        text = np.insert(digits, [at - rank for rank, at in enumerate(_DASHES)], ord("-"), axis=1)
        ends = np.arange(0, 36 * len(numbers) + 1, 36, dtype=np.int32)
        return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(ends), pa.py_buffer(text.tobytes()))

    def messages(self, columns: Columns) -> list[Message]:
        """Return events as messages."""
        ids = self.uuids(columns.numbers).to_pylist()
        times = np.datetime_as_string(columns.micros.view("M8[us]")).tolist()
        texts = zip(
            ids, times, columns.kind.tolist(), columns.listener.tolist(), columns.item.tolist(),
            columns.ms_played.tolist(), columns.rating.tolist(), strict=True,
        )  # fmt: skip
        topics = [event_topic(kind).name for kind in KINDS]
        heads = [f'","event_type":"{kind}","item_id":"track:' for kind in KINDS]
        tails = ['"ms_played":%d,', "", "", '"rating":%.1f,']
        made = []
        for event_id, time, kind, listener, item, ms_played, rating in texts:
            extra = tails[kind] % (ms_played if kind == 0 else rating) if tails[kind] else ""
            user = self.listeners[listener]
            value = (
                f'{{"event_id":"{event_id}","user_id":"{user}{heads[kind]}{item}",'
                f'"timestamp":"{time}+00:00",{extra}"source":"bench","schema_version":1}}'
            )
            made.append(Message(topics[kind], user.encode(), value.encode()))
        return made


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Messages in order: good ones, bad ones, and some sent twice.

    Attributes:
        world: where the events come from.
        count: number of messages.
        first: number of the first new event.
        history: events below this number were sent in an earlier stream and may be sent again.
    """

    world: World
    count: int
    first: int = 0
    history: int = 0

    @cached_property
    def _slots(self) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """By position: the event's number, whether it is spoilt, whether it was sent before."""
        places = np.arange(self.count, dtype=np.int64)
        draw = _uniform(_mix(places + self.first, self.world.seed * 16 + 14))
        bad = draw < BAD_SHARE
        again = (draw >= BAD_SHARE) & (draw < BAD_SHARE + DUPLICATE_SHARE)
        good = np.flatnonzero(~bad & ~again)
        before = np.searchsorted(good, places) + self.history
        again &= before > 0
        choice = (_uniform(_mix(places, self.world.seed * 16 + 15)) * before).astype(np.int64)
        of_stream = again & (choice >= self.history)
        numbers = places + self.first
        numbers[again] = choice[again]
        numbers[of_stream] = good[choice[of_stream] - self.history] + self.first
        return numbers, bad, again

    @property
    def truth(self) -> Truth:
        """What must become of the messages."""
        _, bad, again = self._slots
        dead, twice = int(bad.sum()), int(again.sum())
        return Truth(stored=self.count - dead - twice, duplicate=twice, dead_lettered=dead)

    def chunks(self) -> Iterator[list[Message]]:
        """Yield the messages in order, some ten thousand at a time."""
        numbers, bad, _ = self._slots
        for begin in range(0, self.count, _CHUNK):
            part = slice(begin, begin + _CHUNK)
            messages = self.world.messages(self.world.columns(numbers[part]))
            for at in np.flatnonzero(bad[part]).tolist():
                messages[at] = messages[at]._replace(value=_spoil(messages[at].value, begin + at))
            yield messages


def _spoil(value: bytes, place: int) -> bytes:
    """Break a message in one of the ways that clients do."""
    match place % 4:
        case 0:
            return value[:-20]
        case 1:
            return value.replace(b'"user_id"', b'"user"')
        case 2:
            return value.replace(b'"timestamp":"', b'"timestamp":"on ')
    return value.replace(b'"timestamp":"2', b'"timestamp":"9')


def _mix(numbers: NDArray[np.int64], salt: int) -> NDArray[np.uint64]:
    """Hash numbers: splitmix64, whose output passes for random in every bit."""
    x = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
        salt * 0xD1342543DE82EF95 % 2**64
    )
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _uniform(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    return (hashes >> np.uint64(11)).astype(np.float64) / 2**53


def anchor_now() -> datetime:
    """Return a moment to anchor a world at: now, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
