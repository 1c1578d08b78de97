"""Redis behind time limits: what is only a help there must never fail a request."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from music_assets.recommender import features
from serving.dependency import Dependency
from streaming import online
from streaming.errors import IntegrityError, UnavailableError
from streaming.features import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming.features import Features, RecentItem

_SECONDS: Final = 0.25
"""Budget of a call: a hundred times what it takes on one machine."""

_SEEN_SECONDS: Final = 86_400
_LISTENER_SECONDS: Final = 7 * 86_400


def digest(kind: str, value: str) -> str:
    """Key for a value that must not be readable in Redis, its dump or its slow log."""
    return f"{kind}:{blake2b(value.encode(), digest_size=16).hexdigest()}"


def _bytes(value: bytes | str | None) -> bytes | None:
    """Narrow what the client's types leave open; it is not told to decode."""
    return value.encode() if isinstance(value, str) else value


_MARK_SEEN: Final = """
local seen = {}
for index, key in ipairs(KEYS) do
    seen[index] = redis.call('SET', key, 1, 'NX', 'EX', ARGV[1]) and 0 or 1
end
return seen
"""
"""One command for a batch: a pipeline of as many SETs costs this process seven times the CPU."""

_COUNT: Final = """
local used = math.floor(tonumber(redis.call('GET', KEYS[1]) or 0) * ARGV[1]) + tonumber(redis.call('GET', KEYS[2]) or 0)
if used >= tonumber(ARGV[2]) then return {used, 0} end
redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return {used + 1, 1}
"""
"""Counts unless the limit is reached: what two keys hold, the first by its share, and whether it was counted."""


class Cache:
    """What the API keeps in Redis: known listeners, event ids seen, and the histories that it reads."""

    def __init__(self, url: str) -> None:
        pool = BlockingConnectionPool.from_url(
            url, max_connections=32, timeout=_SECONDS, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
        )
        self._redis: Redis = Redis(connection_pool=pool)
        self._mark_seen = self._redis.register_script(_MARK_SEEN)
        self._count = self._redis.register_script(_COUNT)
        self.dependency = Dependency("redis", (RedisError,))

    async def listeners(self, user_ids: Sequence[str]) -> dict[str, str]:
        """Return the listener ids known here; empty when Redis is away."""
        try:
            async with self.dependency.call(_SECONDS):
                found = await self._redis.mget([digest("listener", user_id) for user_id in user_ids])
        except UnavailableError:
            return {}
        values = zip(user_ids, map(_bytes, found), strict=True)
        return {user_id: value.decode() for user_id, value in values if value}

    async def remember_listeners(self, listeners: Mapping[str, str]) -> None:
        """Keep listener ids, so that known listeners go on while PostgreSQL is away."""
        try:
            async with self.dependency.call(_SECONDS):
                pipeline = self._redis.pipeline(transaction=False)
                for user_id, listener_id in listeners.items():
                    pipeline.set(digest("listener", user_id), listener_id, ex=_LISTENER_SECONDS)
                await pipeline.execute()
        except UnavailableError:
            return

    async def mark_seen(self, event_ids: Sequence[str]) -> list[bool] | None:
        """Mark acknowledged events and return which of them were marked before; None when Redis is away.

        Only a hint: the mark may be lost, and silver alone decides what a duplicate is.
        """
        try:
            async with self.dependency.call(_SECONDS):
                keys = [digest("event", event_id) for event_id in event_ids]
                return [bool(seen) for seen in await self._mark_seen(keys=keys, args=[_SEEN_SECONDS])]
        except UnavailableError:
            return None

    async def history(self, listener_id: str) -> tuple[dict[str, float], list[RecentItem]]:
        """Return how often a listener heard each item as of the last training, and what they did lately, newest first.

        One command reads both. What they did lately counts only while the stream stands behind it.

        Raises:
            UnavailableError: Redis is away, or what it holds cannot be read.
        """
        keys = [features.key(listener_id), online.key(listener_id), online.EPOCH_KEY]
        async with self.dependency.call(_SECONDS):
            history, lately, epoch = map(_bytes, await self._redis.mget(keys))
        try:
            recent = decode(lately, now=datetime.now(UTC)).recent if epoch else []
            return features.decode(history), recent
        except (msgspec.MsgspecError, IntegrityError) as error:
            raise UnavailableError(
                "the listener's history in Redis cannot be read; write the features again"
            ) from error

    async def features(self, listener_ids: Sequence[str]) -> list[Features]:
        """Return what listeners did lately, in their order, with one command.

        Raises:
            UnavailableError: Redis is away, or a value cannot be read.
        """
        async with self.dependency.call(_SECONDS):
            try:
                return await online.read_async(self._redis, listener_ids, now=datetime.now(UTC))
            except IntegrityError as error:
                raise UnavailableError(str(error)) from error

    async def count(self, last: str, current: str, *, share: float, limit: int, seconds: int) -> tuple[int, bool]:
        """Count one more under a key unless a limit is reached; return the sum and whether it was counted.

        Args:
            last: key of the time before, of which a share still counts.
            current: key of now.
            share: of the time before.
            limit: most that both may hold.
            seconds: how long a count is kept.

        Raises:
            UnavailableError: Redis is away.
        """
        async with self.dependency.call(_SECONDS):
            used, counted = await self._count(keys=[last, current], args=[share, limit, seconds])
        return int(used), bool(counted)

    async def reply(self, name: str) -> bytes | None:
        """Return the answer kept under a name, None if there is none or Redis is away."""
        try:
            async with self.dependency.call(_SECONDS):
                return _bytes(await self._redis.get(digest("reply", name)))
        except UnavailableError:
            return None

    async def keep_reply(self, name: str, value: bytes) -> None:
        """Keep an answer for a day, unless Redis is away."""
        try:
            async with self.dependency.call(_SECONDS):
                await self._redis.set(digest("reply", name), value, ex=_SEEN_SECONDS)
        except UnavailableError:
            return

    async def forget_listeners(self, user_ids: Sequence[str]) -> None:
        """Drop the listener ids of users who were erased; what Redis still has then expires."""
        try:
            async with self.dependency.call(_SECONDS):
                await self._redis.delete(*[digest("listener", user_id) for user_id in user_ids])
        except UnavailableError:
            return

    async def check(self) -> None:
        """Ask whether Redis answers, for the health check."""
        async with self.dependency.call(1, check=True):
            await self._redis.exists("ping")

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
