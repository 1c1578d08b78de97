"""The table `identity.listener` in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from music_assets.identity import ENSURE, FIND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.database import Database


class ListenerStore:
    """Reads and makes listener ids."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ensure(self, user_ids: Sequence[str]) -> dict[str, str]:
        """Return the listener id of each user id, made where there was none; none of who was erased or has paused.

        One round trip; a second one only when another process made the same listener in the same moment, because
        the statement then neither inserts it nor sees it.

        Raises:
            UnavailableError: PostgreSQL does not answer.
        """
        found = await self._rows(ENSURE, user_ids)
        missing = [user_id for user_id in user_ids if user_id not in found]
        return found | await self._rows(ENSURE, missing) if missing else found

    async def find(self, user_ids: Sequence[str]) -> dict[str, str]:
        """Return the listener ids of those user ids that have one.

        Raises:
            UnavailableError: PostgreSQL does not answer.
        """
        return await self._rows(FIND, user_ids)

    async def _rows(self, statement: str, user_ids: Sequence[str]) -> dict[str, str]:
        rows = await self._database.rows(statement, {"user_ids": list(user_ids)})
        return {row["user_id"]: row["listener_id"] for row in rows}
