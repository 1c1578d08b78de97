"""The table `identity.listener` in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg_pool import AsyncConnectionPool

from music_assets.identity import ENSURE, FIND
from serving.dependency import Dependency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

_SECONDS: Final = 1.0
_CHECK_SECONDS: Final = 2.0


class ListenerStore:
    """Reads and makes listener ids."""

    def __init__(self, database: str) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            database,
            min_size=1,
            max_size=4,
            open=False,
            timeout=_SECONDS,
            reconnect_timeout=10,
            kwargs={"autocommit": True, "connect_timeout": 2, "application_name": "music-api"},
        )
        self.dependency = Dependency("postgres", (psycopg.Error,))

    async def open(self) -> None:
        """Start connecting; whether PostgreSQL answers shows at the first call."""
        await self._pool.open(wait=False)

    async def ensure(self, user_ids: Sequence[str]) -> dict[str, str]:
        """Return the listener id of each user id, made where there was none.

        One round trip; a second one only when another process made the same listener in the same moment, because
        the statement then neither inserts it nor sees it.

        Raises:
            UnavailableError: PostgreSQL does not answer.
        """
        found = await self._rows(ENSURE, user_ids)
        missing = [user_id for user_id in user_ids if user_id not in found]
        return found | await self._rows(FIND, missing) if missing else found

    async def find(self, user_ids: Sequence[str]) -> dict[str, str]:
        """Return the listener ids of those user ids that have one.

        Raises:
            UnavailableError: PostgreSQL does not answer.
        """
        return await self._rows(FIND, user_ids)

    async def check(self) -> None:
        """Ask whether PostgreSQL answers and has the table, for the health check."""
        async with self.dependency.call(_CHECK_SECONDS, check=True), self._pool.connection() as connection:
            await connection.execute("select from identity.listener limit 1")

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def _rows(self, statement: str, user_ids: Sequence[str]) -> dict[str, str]:
        async with self.dependency.call(_SECONDS), self._pool.connection() as connection:
            cursor = await connection.execute(statement, {"user_ids": list(user_ids)})
            return dict(await cursor.fetchall())
