"""The transaction that takes events into Redis: all of a batch or nothing, each event once.

A batch is the listeners' values, the ids of the events they now hold, and how far each partition is taken in. The
transaction watches what it was computed from: a second writer, a flush or an erasure in between makes it fail, and it
is computed again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog
from redis.exceptions import WatchError

from streaming.errors import IntegrityError, UnavailableError
from streaming.features import merge
from streaming.online import KEEP_SECONDS, ids_key, key, keys, position_key, to_position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming.features import Seen
    from streaming.online import Position

_DAY: Final = 86_400_000_000
_ATTEMPTS: Final = 5
_KNOWN: Final = ord("1")

# KEYS: the guard, positions, then a value and two sets of ids per listener.
# ARGV: number of positions, then per listener the number of its event ids, and these.
# Answers the guard, the positions, then per listener its value and, per id, 1 or 0: whether it is known.
_READ: Final = """
local answer, at, first = {}, 2, ARGV[1] + 2
for index = 1, first - 1 do answer[index] = redis.call('GET', KEYS[index]) end
for index = first, #KEYS, 3 do
    local known, count = {}, tonumber(ARGV[at])
    for id = 1, count do
        local digest = ARGV[at + id]
        local found = redis.call('SISMEMBER', KEYS[index + 1], digest) == 1
            or redis.call('SISMEMBER', KEYS[index + 2], digest) == 1
        known[id] = found and '1' or '0'
    end
    at = at + count + 1
    answer[#answer + 1] = redis.call('GET', KEYS[index])
    answer[#answer + 1] = table.concat(known)
end
return answer
"""

# KEYS: the guard, positions, then a value and a set of ids per listener.
# ARGV: number of positions, seconds that a value is kept, when the ids expire, the positions, then per listener its
# value, the number of its new event ids, and these. Ids before the value: nothing is counted whose id is not kept.
_WRITE: Final = """
local positions, keep, expire = tonumber(ARGV[1]), ARGV[2], ARGV[3]
for index = 1, positions do redis.call('SET', KEYS[index + 1], ARGV[index + 3]) end
local at = positions + 4
for index = positions + 2, #KEYS, 2 do
    local count = tonumber(ARGV[at + 1])
    if count > 0 then
        redis.call('SADD', KEYS[index + 1], unpack(ARGV, at + 2, at + 1 + count))
        redis.call('EXPIREAT', KEYS[index + 1], expire)
    end
    redis.call('SET', KEYS[index], ARGV[at], 'EX', keep)
    at = at + 2 + count
end
"""

log = structlog.get_logger()


class PlaceLostError(UnavailableError):
    """The store is at another place in the log than the writer; it has to read where, and go on from there."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """A partition's position before and after a batch; None: nothing of it is taken in yet."""

    before: Position | None
    after: Position


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A key whose value must not change while a batch is written."""

    key: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one transaction does.

    Attributes:
        events: by listener, at most some thousands in all; a digest of 0 is not kept, because the event is surely
            new and came too long ago to be sent again.
        moves: by topic and partition.
        since: when counting of a listener began, where it was before now; microseconds since 1970.
    """

    events: Mapping[str, Sequence[Seen]]
    moves: Mapping[tuple[str, int], Move] = field(default_factory=dict)
    since: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Events by type, as places in `streaming.features.KINDS`: counted now, and counted before."""

    stored: Counter[int]
    duplicate: Counter[int]


def transact(redis: Any, batch: Batch, guard: Guard, *, now: int) -> Outcome:
    """Take a batch in.

    Args:
        redis: a client that repeats nothing by itself: after a lost answer only the positions tell what happened.
        batch: what to take in.
        guard: what must hold meanwhile.
        now: microseconds since 1970.

    Raises:
        PlaceLostError: the guard does not hold, or the positions are others than the batch begins at.
        RedisError: Redis does not answer; the batch is in or it is not.
    """
    for _ in range(_ATTEMPTS):
        try:
            return _attempt(redis, batch, guard, now=now)
        except WatchError:
            continue
    raise PlaceLostError(f"the features in Redis were changed by others {_ATTEMPTS} times while a batch was written")


def _attempt(redis: Any, batch: Batch, guard: Guard, *, now: int) -> Outcome:
    shared = [guard.key, *(position_key(*partition) for partition in batch.moves)]
    with redis.pipeline(transaction=True) as pipe:
        pipe.watch(*shared, *map(key, batch.events))
        found = pipe.eval(_READ, *_read_arguments(batch, shared))
        if found[0] is None or found[0].decode() != guard.value:
            raise PlaceLostError("Redis no longer holds the features that it held")
        if [to_position(value) for value in found[1 : len(shared)]] != [move.before for move in batch.moves.values()]:
            raise PlaceLostError("the features in Redis are at another place in the log")
        values, outcome = _values(batch, found[len(shared) :], now=now)
        pipe.multi()
        pipe.eval(_WRITE, *_write_arguments(batch, values, shared, now=now))
        pipe.execute()
    return outcome


_Values = dict[str, tuple[bytes, "list[Seen]"]]
"""By listener: the new value, and the events that are new in it."""


def _values(batch: Batch, found: Sequence[bytes | None], *, now: int) -> tuple[_Values, Outcome]:
    values: _Values = {}
    outcome = Outcome(stored=Counter(), duplicate=Counter())
    for index, (listener, sent) in enumerate(batch.events.items()):
        new = _new(sent, found[2 * index + 1] or b"")
        outcome.stored.update(event.kind for event in new)
        if len(new) < len(sent):
            outcome.duplicate.update(event.kind for event in sent)
            outcome.duplicate.subtract(event.kind for event in new)
        if new:
            values[listener] = _merge(found[2 * index], new, now=now, since=batch.since.get(listener)), new
    return values, outcome


def _new(sent: Sequence[Seen], known: bytes) -> list[Seen]:
    new: dict[int, Seen] = {}
    surely = [event for event in sent if not event.digest]
    for event, flag in zip((event for event in sent if event.digest), known, strict=True):
        if flag != _KNOWN:
            new.setdefault(event.digest, event)
    return [*surely, *new.values()]


def _merge(value: bytes | None, events: Sequence[Seen], *, now: int, since: int | None) -> bytes:
    try:
        return merge(value, events, now=now, since=since)
    except IntegrityError:
        # Not written by this program. To wait for a person would hold up the features of everyone else.
        log.warning("features_unreadable", action="written anew")
        return merge(None, events, now=now, since=since)


def _read_arguments(batch: Batch, shared: Sequence[str]) -> list[Any]:
    names: list[str] = [*shared]
    arguments: list[int] = [len(batch.moves)]
    for listener, events in batch.events.items():
        names += keys(listener)
        digests = [event.digest for event in events if event.digest]
        arguments += (len(digests), *digests)
    return [len(names), *names, *arguments]


def _write_arguments(batch: Batch, values: _Values, shared: Sequence[str], *, now: int) -> list[Any]:
    day = now // _DAY
    names: list[str] = [*shared]
    arguments: list[Any] = [len(batch.moves), KEEP_SECONDS, (day + 2) * (_DAY // 1_000_000)]
    arguments += (str(move.after) for move in batch.moves.values())
    for listener, (value, events) in values.items():
        names += (key(listener), ids_key(listener, day))
        digests = [event.digest for event in events if event.digest]
        arguments += (value, len(digests), *digests)
    return [len(names), *names, *arguments]
