"""One connection to Redis for all requests of this process: commands go out as they come, answers come in that order.

A pool lends each command a connection, with locks and timers around it: eight times the CPU of the command. redis-py
still opens the connection, so an address may say all that it may say there, and reads what comes in.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Any

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio.connection import AbstractConnection

    Answer = asyncio.Future[Any]


class Line:
    """A connection that is opened when it is first needed, and again after it broke.

    Args:
        url: where Redis is.
        seconds: how long a command, or opening, may take. Then the connection is given up, and with it what waits: a
            server that is silent for one command is silent for those behind it.
    """

    def __init__(self, url: str, *, seconds: float) -> None:
        self._pool = ConnectionPool.from_url(url, socket_timeout=None)
        self._seconds = seconds
        self._connection: AbstractConnection | None = None
        self._opening: asyncio.Task[AbstractConnection] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: deque[Answer] = deque()

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
        try:
            await connection.send_packed_command(connection.pack_command(*command), check_health=False)
            return await answer
        finally:
            timer.cancel()

    async def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of keys, None for those that hold nothing; raises as `ask` does."""
        found: list[bytes | None] = await self.ask("MGET", *keys)
        return found

    async def close(self) -> None:
        """Close the connection; what still waits fails."""
        reading = self._reading
        self._drop(LostError("the connection to Redis was closed"))
        if reading is not None:
            await asyncio.wait({reading})

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
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._connection, self._waiting = connection, deque()
        self._reading = asyncio.create_task(self._read(connection, self._waiting))
        return connection

    async def _read(self, connection: AbstractConnection, waiting: deque[Answer]) -> None:
        try:
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
        except (RedisError, OSError) as error:
            if self._connection is connection:
                self._drop(error)

    def _give_up(self, answer: Answer) -> None:
        if not answer.done():
            answer.set_exception(TimeoutError("Redis did not answer in time"))
            self._drop(LostError("Redis did not answer another command in time"))

    def _drop(self, error: Exception) -> None:
        reading, waiting = self._reading, self._waiting
        self._connection, self._reading, self._waiting = None, None, deque()
        # A cancelled reader closes the connection.
        if reading is not None:
            reading.cancel()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(error)
