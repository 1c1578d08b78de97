"""Redis behind time limits: what is only a help there must never fail a request."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from music_assets.recommender import features
from serving.dependency import Dependency
from serving.histories import Kept, read
from serving.line import Line
from serving.marks import Marks
from streaming import online
from streaming.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.histories import History
    from streaming.features import Features

_REPLY_SECONDS: Final = 86_400
_LISTENER_SECONDS: Final = 7 * 86_400


_DIGEST_BYTES: Final = 16


def digest(kind: str, value: str) -> str:
    """Key for a value that must not be readable in Redis, its dump or its slow log."""
    return f"{kind}:{blake2b(value.encode(), digest_size=_DIGEST_BYTES).hexdigest()}"


_KEEP: Final = """
for index, key in ipairs(KEYS) do redis.call('SET', key, ARGV[index + 1], 'EX', ARGV[1]) end
"""

_COUNT: Final = """
local used = math.floor(tonumber(redis.call('GET', KEYS[1]) or 0) * ARGV[1]) + tonumber(redis.call('GET', KEYS[2]) or 0)
if used >= tonumber(ARGV[2]) then return {used, 0} end
redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return {used + 1, 1}
"""
"""Counts unless the limit is reached: what two keys hold, the first by its share, and whether it was counted."""


class Cache:
    """What the API keeps in Redis: known listeners, event ids seen, and the histories that it reads.

    Args:
        url: where Redis is.
        timeout_seconds: how long a command may take.
    """

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._kept = Kept()
        self._line = Line(url, seconds=timeout_seconds, on_changed=self._kept.changed)
        self.dependency = Dependency("redis", (RedisError,))
        self.marks = Marks(self._line, self.dependency)

    async def listeners(self, user_ids: Sequence[str]) -> dict[str, str]:
        """Return the listener ids known here; empty when Redis is away."""
        try:
            with self.dependency.watched():
                found = await self._line.mget([digest("listener", user_id) for user_id in user_ids])
        except UnavailableError:
            return {}
        return {user_id: value.decode() for user_id, value in zip(user_ids, found, strict=True) if value}

    async def remember_listeners(self, listeners: Mapping[str, str]) -> None:
        """Keep listener ids, so that known listeners go on while PostgreSQL is away."""
        names = [digest("listener", user_id) for user_id in listeners]
        try:
            with self.dependency.watched():
                await self._line.ask("EVAL", _KEEP, len(names), *names, _LISTENER_SECONDS, *listeners.values())
        except UnavailableError:
            return

    async def history(self, listener_id: str) -> History:
        """Return what a listener heard; asks Redis, with one command, only if that may have changed since.

        What they did lately counts only while the stream stands behind it.

        Raises:
            UnavailableError: Redis is away, or what it holds cannot be read.
        """
        with self.dependency.watched():
            if (kept := self._kept.find(listener_id)) is not None:
                return kept
            reading = self._kept.expect(listener_id)
            counts, lately, epoch = await self._line.mget(
                [features.key(listener_id), online.key(listener_id), online.EPOCH_KEY]
            )
        history = read(counts, lately if epoch else None)
        if self._line.tells_changes:
            self._kept.keep(listener_id, history, reading, stands=epoch is not None)
        return history

    async def features(self, listener_ids: Sequence[str]) -> list[Features]:
        """Return what listeners did lately, in their order, with one command.

        Raises:
            UnavailableError: Redis is away, a value cannot be read, or for a day no stream has written any.
        """
        with self.dependency.watched():
            try:
                found = await online.read_async(self._line, listener_ids, now=datetime.now(UTC))
            except IntegrityError as error:
                raise UnavailableError(str(error)) from error
        if found is None:
            raise UnavailableError("no stream keeps what listeners did lately: start stream_features_to_online")
        return found

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
        with self.dependency.watched():
            used, counted = await self._line.ask("EVAL", _COUNT, 2, last, current, share, limit, seconds)
        return int(used), bool(counted)

    async def reply(self, name: str) -> bytes | None:
        """Return the answer kept under a name, None if there is none or Redis is away."""
        try:
            with self.dependency.watched():
                found: bytes | None = await self._line.ask("GET", digest("reply", name))
        except UnavailableError:
            return None
        return found

    async def keep_reply(self, name: str, value: bytes) -> None:
        """Keep an answer for a day, unless Redis is away."""
        try:
            with self.dependency.watched():
                await self._line.ask("SET", digest("reply", name), value, "EX", _REPLY_SECONDS)
        except UnavailableError:
            return

    async def forget_listeners(self, user_ids: Sequence[str]) -> None:
        """Drop the listener ids of users who were erased; what Redis still has then expires."""
        try:
            with self.dependency.watched():
                await self._line.ask("DEL", *[digest("listener", user_id) for user_id in user_ids])
        except UnavailableError:
            return

    async def check(self) -> None:
        """Ask whether Redis answers, for the health check."""
        with self.dependency.watched(check=True):
            await self._line.ask("EXISTS", "ping")

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()
