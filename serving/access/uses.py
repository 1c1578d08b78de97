"""When keys and sessions were last used, noted beside the requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from datetime import datetime

    from serving.database import Database

N = TypeVar("N", str, bytes)

_FLUSH_SECONDS: Final = 15.0


class Uses(Generic[N]):
    """The latest use of each name that PostgreSQL does not hold yet.

    Args:
        database: where they are noted.
        statement: notes them; its parameters are `names` and `times`, of equal length.
    """

    def __init__(self, database: Database, statement: str) -> None:
        self._database = database
        self._statement = statement
        self._latest: dict[N, datetime] = {}

    def note(self, name: N, now: datetime) -> None:
        """Note a use."""
        self._latest[name] = now

    def latest(self, name: N) -> datetime | None:
        """Return the latest use that is not in PostgreSQL yet, if there is one."""
        return self._latest.get(name)

    def drop(self, name: N) -> None:
        """Note a name no longer."""
        self._latest.pop(name, None)

    async def watch(self) -> None:
        """Write the uses every few seconds, for ever."""
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write the uses; what PostgreSQL does not take now waits."""
        if not (latest := self._latest):
            return
        self._latest = {}
        try:
            await self._database.rows(self._statement, {"names": list(latest), "times": list(latest.values())})
        except UnavailableError:
            self._latest = latest | self._latest
