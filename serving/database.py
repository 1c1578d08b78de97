"""PostgreSQL as the API uses it: a few connections, every statement within a budget."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from serving.dependency import Dependency
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from psycopg import AsyncConnection

_SECONDS: Final = 1.0
_CHECK_SECONDS: Final = 2.0
# PostgreSQL answers: it is no reason to leave it alone for a while.
_NOT_BUILT: Final = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName)
_BUSY: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled, psycopg.errors.SerializationFailure)

_OPTIONS: Final = "-c statement_timeout=5s -c lock_timeout=500ms"
"""What the server gives up by itself: the client's budget alone would leave a slow statement running there. The lock is
that of a build which puts a new table in the place of an old one."""


class Database:
    """Connections of this process to PostgreSQL, with a breaker of their own.

    Args:
        url: where.
        name: of the dependency: `postgres` for who is who, `warehouse` for what takes longer, so that a slow reading or
            a build that replaces a table takes no connection from a request that must know who asks.
    """

    def __init__(self, url: str, *, name: str = "postgres") -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            url, min_size=1, max_size=8, open=False, timeout=_SECONDS, reconnect_timeout=10,
            kwargs={
                "autocommit": True, "connect_timeout": 2, "application_name": "music-api", "options": _OPTIONS,
                # A table that dbt replaced has other types: a plan that the server kept for it would fail once.
                "prepare_threshold": None,
            },
        )  # fmt: skip
        self.dependency = Dependency(name, (psycopg.Error,))

    async def open(self) -> None:
        """Start connecting; whether PostgreSQL answers shows at the first call."""
        await self._pool.open(wait=False)

    async def rows(
        self, statement: str, values: Mapping[str, Any] | None = None, *, seconds: float = _SECONDS
    ) -> list[dict[str, Any]]:
        """Return the rows of a statement, which is a transaction of its own.

        Raises:
            UnavailableError: PostgreSQL does not answer in time, or the table is not built yet or replaced right now.
        """
        with self.dependency.watched():
            async with self._connection(seconds) as connection:
                return await _fetched(connection, statement, values)

    async def check(self) -> None:
        """Ask whether PostgreSQL answers and has the tables, for the health check."""
        with self.dependency.watched(check=True):
            async with self._connection(_CHECK_SECONDS) as connection:
                await connection.execute("select from identity.listener limit 1")

    @asynccontextmanager
    async def _connection(self, seconds: float) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection that is cut after so many seconds.

        Cancelling would not do: psycopg then waits for the server to say that it has cancelled, which one that stands
        still never does.
        """
        async with self._pool.connection() as connection:
            timer = asyncio.get_running_loop().call_later(seconds, _cut, connection)
            try:
                yield connection
            finally:
                timer.cancel()

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()


async def _fetched(
    connection: AsyncConnection[Any], statement: str, values: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    try:
        cursor = await connection.cursor(row_factory=dict_row).execute(statement, values)
    except _NOT_BUILT as error:
        raise UnavailableError("the warehouse has not built this yet; try again later") from error
    except _BUSY as error:
        raise UnavailableError("the warehouse is being built just now; try again soon") from error
    return await cursor.fetchall() if cursor.description else []


def _cut(connection: AsyncConnection[Any]) -> None:
    """End a connection below psycopg: what waits for its answer then fails, and the pool makes another."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
