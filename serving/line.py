"""One connection to Redis for all requests of this process: commands go out as they come, answers come in that order.

A pool lends each command a connection, with locks and timers around it: eight times the CPU of the command. redis-py
still opens the connection, so an address may say all that it may say there, and reads what comes in.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Any

import structlog
from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from redis.asyncio.connection import AbstractConnection

    Answer = asyncio.Future[Any]

_log = structlog.get_logger()


class Line:
    """A connection that is opened when it is first needed, and again after it broke.

    Args:
        url: where Redis is.
        seconds: how long a command, or opening, may take. Then the connection is given up, and with it what waits: a
            server that is silent for one command is silent for those behind it.
        on_changed: called with the keys, of those that were read here, whose values are others now; with None when any
            may be. It is called before anything that was read later is returned (Redis, client-side caching).
    """

    def __init__(self, url: str, *, seconds: float, on_changed: Callable[[Sequence[bytes] | None], None]) -> None:
        self._pool = ConnectionPool.from_url(url, socket_timeout=None, protocol=3)
        self._seconds = seconds
        self._on_changed = on_changed
        self.tells_changes = False
        """Whether this server says so: one that does not is to be asked each time."""
        self._connection: AbstractConnection | None = None
        self._opening: asyncio.Task[AbstractConnection] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: deque[Answer] = deque()
        self._unsent: list[bytes] = []
        self._some_unsent = asyncio.Event()

    async def ask(self, *command: str | bytes | float) -> Any:
        """Send a command and return its answer, texts as bytes.

        Raises:
            TimeoutError: it did not come in time.
            RedisError: the connection broke, or Redis refuses the command.
            OSError: nobody answers there.
        """
        connection = self._connection
        if connection is None or not connection.is_connected:
            connection = await self._opened()
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        timer = loop.call_later(self._seconds, self._give_up, answer)
        # Before anything waits: the order of the answers is that of the commands.
        self._waiting.append(answer)
        self._unsent += connection.pack_command(*command)
        self._some_unsent.set()
        try:
            return await answer
        finally:
            timer.cancel()

    async def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of keys, None for those that hold nothing; raises as `ask` does."""
        found: list[bytes | None] = await self.ask("MGET", *keys)
        return found

    async def close(self) -> None:
        """Close the connection; what still waits fails."""
        tasks = self._tasks
        self._drop(LostError("the connection to Redis was closed"))
        if tasks:
            await asyncio.wait(tasks)

    async def _opened(self) -> AbstractConnection:
        # All that come while it is being opened wait for the same attempt.
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> AbstractConnection:
        self._drop(LostError("the connection to Redis broke"))
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(self._seconds):
                await connection.connect()  # type: ignore[no-untyped-call]
                self.tells_changes = await self._follow(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._connection = connection
        self._tasks = [
            asyncio.create_task(self._guarded(connection, work))
            for work in (self._read(connection, self._waiting), self._write(connection, self._unsent))
        ]
        return connection

    async def _follow(self, connection: AbstractConnection) -> bool:
        """Ask Redis to tell which keys change; return whether it will."""

        async def changed(message: list[Any]) -> None:
            self._on_changed(message[1])

        # redis-py hands these messages on in its synchronous client only.
        parser: Any = connection._parser
        parser.set_invalidation_push_handler(changed)
        # What this connection changes itself, such as the counts of limits, is not news.
        await connection.send_command("CLIENT", "TRACKING", "ON", "NOLOOP", check_health=False)
        try:
            await connection.read_response(timeout=math.inf)
        except ResponseError as error:
            _log.info("Redis does not tell what changes; it is asked each time", error=str(error))
            return False
        return True

    async def _guarded(self, connection: AbstractConnection, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except (RedisError, OSError) as error:
            if self._connection is connection:
                self._drop(error)

    async def _read(self, connection: AbstractConnection, waiting: deque[Answer]) -> None:
        while True:
            try:
                value: Any = await connection.read_response(timeout=math.inf)
            except ResponseError as error:
                value = error
            answer = waiting.popleft()
            if answer.done():
                continue
            if isinstance(value, ResponseError):
                answer.set_exception(value)
            else:
                answer.set_result(value)

    async def _write(self, connection: AbstractConnection, unsent: list[bytes]) -> None:
        # All that came within a turn of the loop together: a call of the system each costs more than the commands.
        while True:
            await self._some_unsent.wait()
            self._some_unsent.clear()
            packed = b"".join(unsent)
            unsent.clear()
            await connection.send_packed_command(packed, check_health=False)

    def _give_up(self, answer: Answer) -> None:
        if not answer.done():
            answer.set_exception(TimeoutError("Redis did not answer in time"))
            self._drop(LostError("Redis did not answer another command in time"))

    def _drop(self, error: Exception) -> None:
        tasks, waiting = self._tasks, self._waiting
        self._connection, self._tasks, self._waiting, self._unsent = None, [], deque(), []
        self._some_unsent = asyncio.Event()
        self._on_changed(None)
        # A cancelled reader closes the connection.
        for task in tasks:
            task.cancel()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(error)
