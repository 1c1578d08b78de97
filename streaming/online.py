"""The online store's layout: which keys hold what, for the one writer and for every reader.

| key | kind | holds | gone |
|---|---|---|---|
| `features:1:of:<listener>` | string | `streaming.features`, packed | 30 days after the last event |
| `features:1:ids:<0 or 1>:<listener>` | set | digests of the event ids taken in, by day in turn | 24 to 48 h later |
| `features:1:position:<topic>:<partition>` | string | `<topic id>:<offset of the next message>` | never |
| `features:1:epoch` | string | random name of what is held: without it nothing counts | after a day without the job |
| `features:1:rebuild` | string | random name of who rebuilds | half a minute after its last step |
| `features:1:forgotten` | string | of how many forgotten listeners nothing is held | never |

A listener's id is in the first two kinds of key and nowhere else, so `forget` knows them all without a search. The
number is the layout's version: another layout is another number, and the job builds it anew.

Memory of a listener: a value of at most 9 KiB (fifty items with ids of Spotify's length: 2 KiB); 8 bytes per event
of the last day or two up to 512 a day, some 60 bytes beyond that; the keys themselves, about 400 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from streaming.errors import IntegrityError
from streaming.features import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from streaming.features import Features

FAMILY: Final = "features:"
"""Begin of every key of every version of the layout."""

PREFIX: Final = f"{FAMILY}1:"
EPOCH_KEY: Final = f"{PREFIX}epoch"
REBUILD_KEY: Final = f"{PREFIX}rebuild"
FORGOTTEN_KEY: Final = f"{PREFIX}forgotten"

EPOCH_SECONDS: Final = 86_400
"""How long event ids are surely kept. A job that was away for longer rebuilds: of what is sent again it would not know
that it has it."""

KEEP_SECONDS: Final = 30 * 86_400
"""How long a silent listener is kept: as long as Kafka keeps listens."""

_COMMAND_KEYS: Final = 1000
_SAMPLE: Final = 500


@dataclass(frozen=True)
class Position:
    """How far a partition is taken in: the broker's id of the topic, and the offset of the next message."""

    topic_id: str
    offset: int

    def __str__(self) -> str:
        return f"{self.topic_id}:{self.offset}"


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What the store holds: listeners, keys, and bytes as estimated from a sample of the keys."""

    listeners: int
    keys: int
    bytes: int


def key(listener_id: str) -> str:
    """Return the key of a listener's value."""
    return f"{PREFIX}of:{listener_id}"


def ids_key(listener_id: str, day: int) -> str:
    """Return the key of the event ids taken in of a listener on a day, by the day's number since 1970.

    Two keys take turns: a day's set expires before the day comes that uses its key again.
    """
    return f"{PREFIX}ids:{day % 2}:{listener_id}"


def keys(listener_id: str) -> tuple[str, str, str]:
    """Return every key that holds something of a listener: the value first, then the event ids."""
    return key(listener_id), ids_key(listener_id, 0), ids_key(listener_id, 1)


def listener_of(name: bytes) -> str | None:
    """Return whose key this is; None where it is nobody's."""
    for prefix in keys(""):
        if name.startswith(prefix.encode()):
            return name[len(prefix) :].decode(errors="surrogateescape")
    return None


def position_key(topic: str, partition: int) -> str:
    """Return the key of a partition's position."""
    return f"{PREFIX}position:{topic}:{partition}"


def to_position(value: bytes | None) -> Position | None:
    """Return the position that a stored value names.

    Raises:
        IntegrityError: it names none.
    """
    if value is None:
        return None
    topic_id, _, offset = value.decode(errors="replace").rpartition(":")
    if not topic_id or not offset.isdecimal():
        raise IntegrityError(
            f"a position of the features in Redis cannot be read; delete {EPOCH_KEY} to build them anew"
        )
    return Position(topic_id, int(offset))


def positions(redis: Any, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Position | None]:
    """Return how far each partition, by topic and number, is taken in; None: not at all.

    Raises:
        IntegrityError: a position cannot be read.
        RedisError: Redis does not answer.
    """
    found = redis.mget([position_key(*partition) for partition in partitions]) if partitions else []
    return {partition: to_position(value) for partition, value in zip(partitions, found, strict=True)}


def read(redis: Any, listener_ids: Sequence[str], *, now: datetime) -> list[Features]:
    """Return the features of listeners, in their order, with one command.

    Raises:
        IntegrityError: a value cannot be read.
        RedisError: Redis does not answer.
    """
    found = redis.mget([key(listener_id) for listener_id in listener_ids]) if listener_ids else []
    return [decode(value, now=now) for value in found]


async def read_async(redis: Any, listener_ids: Sequence[str], *, now: datetime) -> list[Features] | None:
    """Do what `read` does, with a client of `redis.asyncio`; None: no stream stands behind what the store holds."""
    epoch, *found = await redis.mget([EPOCH_KEY, *(key(listener_id) for listener_id in listener_ids)])
    return [decode(value, now=now) for value in found] if epoch else None


def forget(redis: Any, listener_ids: Iterable[str]) -> int:
    """Remove all that is held of listeners and return how many keys went; nothing of them is left in any other.

    After the tombstones in the order of an erasure. The epoch gets another name and a rebuild loses its turn before a
    key goes: so a batch that was read before is refused, and the job reads the tombstones before it makes the next.

    Raises:
        RedisError: Redis does not answer; some may be gone already, and it can be called again.
    """
    redis.set(EPOCH_KEY, uuid4().hex, xx=True, keepttl=True)
    redis.unlink(REBUILD_KEY)
    names = [name for listener_id in listener_ids for name in keys(listener_id)]
    parts = (names[start : start + _COMMAND_KEYS] for start in range(0, len(names), _COMMAND_KEYS))
    return sum(int(redis.unlink(*part)) for part in parts)


def inventory(redis: Any) -> Inventory:
    """Count what the store holds; walks over all keys of the database.

    Raises:
        RedisError: Redis does not answer.
    """
    listeners, found = 0, 0
    sizes: list[int] = []
    values = key("").encode()
    for name in redis.scan_iter(match=f"{PREFIX}*", count=_COMMAND_KEYS):
        found += 1
        listeners += name.startswith(values)
        if len(sizes) < _SAMPLE:
            sizes.append(redis.memory_usage(name) or 0)
    return Inventory(listeners=listeners, keys=found, bytes=sum(sizes) * found // max(len(sizes), 1))
