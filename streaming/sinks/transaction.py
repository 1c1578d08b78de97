"""The transaction that takes events into Redis: all of a batch or nothing, each event once.

A batch is the listeners' values, the ids of the events they now hold, and how far each partition is taken in. It is
read with one script, computed here, and written with another that first compares what it was computed from: after a
second writer, a flush or an erasure in between nothing is written, and it is computed again. (WATCH would do the same
and compares each key with each other: a batch of thousands would hold Redis up for a tenth of a second.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from streaming.errors import IntegrityError, UnavailableError
from streaming.features import merge, revision
from streaming.online import KEEP_SECONDS, ids_key, key, keys, position_key, to_position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming.features import Seen
    from streaming.online import Position

_DAY: Final = 86_400_000_000
_ATTEMPTS: Final = 5
_KNOWN: Final = ord("1")
_LOST: Final = {
    "guard": "Redis no longer holds the features that it held",
    "position": "the features in Redis are at another place in the log",
}

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
# ARGV: the guard's value, number of positions, seconds that a value is kept, when the ids expire; the positions as they
# must be, and as they are to be; then per listener the revision as it must be, the value, the number of its new event
# ids, and these. Answers what does not hold any more, and then has written nothing.
_WRITE: Final = """
local positions, keep, expire = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local first, at = positions + 2, 2 * positions + 5
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'guard' end
for index = 1, positions do
    if (redis.call('GET', KEYS[index + 1]) or '') ~= ARGV[index + 4] then return 'position' end
end
for index = first, #KEYS, 2 do
    if redis.call('GETRANGE', KEYS[index], 0, #ARGV[at] > 0 and #ARGV[at] - 1 or 0) ~= ARGV[at] then return 'value' end
    at = at + 3 + ARGV[at + 2]
end
for index = 1, positions do redis.call('SET', KEYS[index + 1], ARGV[positions + index + 4]) end
at = 2 * positions + 5
for index = first, #KEYS, 2 do
    local count = tonumber(ARGV[at + 2])
    if count > 0 then
        redis.call('SADD', KEYS[index + 1], unpack(ARGV, at + 3, at + 2 + count))
        redis.call('EXPIREAT', KEYS[index + 1], expire)
    end
    redis.call('SET', KEYS[index], ARGV[at + 1], 'EX', keep)
    at = at + 3 + count
end
return 'written'
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


class _Change(NamedTuple):
    """A listener's value before and after, and the events that are new in it."""

    before: bytes | None
    after: bytes
    events: list[Seen]


_Values = dict[str, _Change]


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
        values, outcome = _read(redis, batch, guard, now=now)
        answer = redis.eval(_WRITE, *_write_arguments(batch, values, guard, now=now)).decode()
        if answer == "written":
            return outcome
        if answer != "value":
            raise PlaceLostError(_LOST[answer])
    raise PlaceLostError(f"the features in Redis were changed by others {_ATTEMPTS} times while a batch was written")


def _read(redis: Any, batch: Batch, guard: Guard, *, now: int) -> tuple[_Values, Outcome]:
    found = redis.eval(_READ, *_read_arguments(batch, guard))
    if found[0] != guard.value.encode():
        raise PlaceLostError(_LOST["guard"])
    held = [to_position(value) for value in found[1 : len(batch.moves) + 1]]
    if held != [move.before for move in batch.moves.values()]:
        raise PlaceLostError(_LOST["position"])
    return _values(batch, found[len(batch.moves) + 1 :], now=now)


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
            value = found[2 * index]
            values[listener] = _Change(value, _merge(value, new, now=now, since=batch.since.get(listener)), new)
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


def _shared_keys(batch: Batch, guard: Guard) -> list[str]:
    return [guard.key, *(position_key(*partition) for partition in batch.moves)]


def _read_arguments(batch: Batch, guard: Guard) -> list[Any]:
    names = _shared_keys(batch, guard)
    arguments: list[int] = [len(batch.moves)]
    for listener, events in batch.events.items():
        names += keys(listener)
        digests = [event.digest for event in events if event.digest]
        arguments += (len(digests), *digests)
    return [len(names), *names, *arguments]


def _write_arguments(batch: Batch, values: _Values, guard: Guard, *, now: int) -> list[Any]:
    day = now // _DAY
    names = _shared_keys(batch, guard)
    arguments: list[Any] = [guard.value, len(batch.moves), KEEP_SECONDS, (day + 2) * (_DAY // 1_000_000)]
    arguments += (str(move.before or "") for move in batch.moves.values())
    arguments += (str(move.after) for move in batch.moves.values())
    for listener, (before, after, events) in values.items():
        names += (key(listener), ids_key(listener, day))
        digests = [event.digest for event in events if event.digest]
        arguments += (revision(before), after, len(digests), *digests)
    return [len(names), *names, *arguments]
