"""Keeps events on the disk while the broker or the identity store is away: what is in here survives a kill."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

_SCHEMA: Final = """
create table if not exists spooled (
    seq integer primary key autoincrement,
    topic text not null,
    mapped integer not null,
    event_id text,
    key text not null,
    value blob not null
)
"""


class Spooled(NamedTuple):
    """A waiting event.

    Attributes:
        topic: where it goes.
        mapped: whether `key` and the value's user_id are the listener id; else both are still the client's own.
        event_id: its identity, None if it can only be derived from the listener id.
        key: message key.
        value: JSON of the event.
        seq: place in the spool, 0 before it is there.
    """

    topic: str
    mapped: bool
    event_id: str | None
    key: str
    value: bytes
    seq: int = 0


class Spool:
    """A SQLite file, one transaction per request, each synced to the disk before it counts.

    All work runs on a thread of its own: an fsync must not stop the event loop, and SQLite has one writer anyway.

    Args:
        path: the file; its folder is made.
        limit: most events it holds.

    Raises:
        UnavailableError: the file cannot be opened.
    """

    def __init__(self, path: Path, *, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._database: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file and count what an earlier process left in it."""
        await self._run(self._open)

    async def append(self, events: Sequence[Spooled]) -> None:
        """Keep events; when this returns they are on the disk.

        Raises:
            UnavailableError: the spool is full or the disk does not take them; none of them is kept.
        """
        await self._run(lambda: self._append(events))

    async def page(self, *, after: int, size: int) -> list[Spooled]:
        """Return the oldest events behind a place, in the order they came."""
        return await self._run(lambda: self._page(after, size))

    async def remove(self, places: Sequence[int]) -> None:
        """Remove events that the broker has."""
        await self._run(lambda: self._remove(places))

    async def forget(self, keys: Sequence[str]) -> None:
        """Remove the events of users or listeners, and their bytes from the file."""
        await self._run(lambda: self._forget(keys))

    async def close(self) -> None:
        """Close the file."""
        await self._run(lambda: self._database.close() if self._database else None)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(f"the spool cannot keep events: {error}; look at the disk") from error

    def _open(self) -> None:
        # Owner only: until the identity store answers, an event is kept under the client's own user id.
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        self._database = sqlite3.connect(self._path, isolation_level=None)
        for pragma in ("journal_mode=wal", "synchronous=full", "secure_delete=on", "busy_timeout=1000"):
            self._database.execute(f"pragma {pragma}")
        self._database.execute(_SCHEMA)
        self.count = self._count()

    @property
    def _open_database(self) -> sqlite3.Connection:
        if self._database is None:
            raise UnavailableError("the spool is not open; start the API again")
        return self._database

    def _count(self) -> int:
        return int(self._open_database.execute("select count(*) from spooled").fetchone()[0])

    def _append(self, events: Sequence[Spooled]) -> None:
        if self.count + len(events) > self.limit:
            raise UnavailableError(
                f"the spool is full: {self.count} of {self.limit} events wait for the broker; send again later"
            )
        self._transaction(
            "insert into spooled (topic, mapped, event_id, key, value) values (?, ?, ?, ?, ?)",
            [event[:5] for event in events],
        )
        self.count += len(events)

    def _page(self, after: int, size: int) -> list[Spooled]:
        rows = self._open_database.execute(
            "select topic, mapped, event_id, key, value, seq from spooled where seq > ? order by seq limit ?",
            (after, size),
        )
        return [Spooled(topic, bool(mapped), *rest) for topic, mapped, *rest in rows]

    def _remove(self, places: Sequence[int]) -> None:
        self._transaction("delete from spooled where seq = ?", [(place,) for place in places])
        self.count = self._count()
        if self.count == 0:
            # The write-ahead log still holds what was removed, client ids among it.
            self._open_database.execute("pragma wal_checkpoint(truncate)")

    def _forget(self, keys: Sequence[str]) -> None:
        self._transaction("delete from spooled where key = ?", [(key,) for key in keys])
        self.count = self._count()
        self._open_database.execute("pragma wal_checkpoint(truncate)")

    def _transaction(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        database = self._open_database
        database.execute("begin immediate")
        try:
            database.executemany(statement, rows)
            database.execute("commit")
        except sqlite3.Error:
            database.rollback()
            raise
