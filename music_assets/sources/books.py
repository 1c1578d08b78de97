"""What collectors keep in PostgreSQL about their own work: where they go on, what each look gave, what was refused."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from psycopg.types.json import Jsonb

from music_assets.sources.http import Fetcher, FetchError, Outcome
from streaming.errors import MusicError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

C = TypeVar("C")

UNSTORED: Final = "unstored"
"""Outcome of a look whose answers came, but could not be stored."""


@dataclass
class Fetch:
    """One look at a source, filled in as it goes on.

    Attributes:
        source: which one.
        kind: what was asked for.
        account: whose, None where it is nobody's.
        origin: `live`, `recorded`, ...
        outcome: of the look.
        items: plays or rows that were stored.
        requests: sent, those sent again included.
        retries: sent again.
        note: for people.
        covered_from: all plays from here on ...
        covered_until: ... up to here are acknowledged.
    """

    source: str
    kind: str
    account: str | None
    origin: str
    outcome: str = Outcome.OK
    items: int = 0
    requests: int = 0
    retries: int = 0
    note: str | None = None
    covered_from: datetime | None = None
    covered_until: datetime | None = None

    def remark(self, sentence: str) -> None:
        """Add to the note, once."""
        if sentence not in (self.note or ""):
            self.note = f"{self.note}; {sentence}" if self.note else sentence


def lock_name(source: str) -> str:
    """Return the name of the lock that keeps two runs off a source's cursors."""
    return f"source.cursors {source}"


class Books:
    """The collectors' tables.

    Args:
        conn: a connection that commits by itself: a look is on record whatever becomes of the run.
    """

    def __init__(self, conn: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.conn = conn

    @contextmanager
    def alone(self, source: str) -> Iterator[None]:
        """Keep other runs off a source's cursors for the block; the lock ends with the connection at the latest.

        Raises:
            UnavailableError: another run holds it.
        """
        name = lock_name(source)
        row = self.conn.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", [name]).fetchone()
        if row != (True,):
            raise UnavailableError(f"another run collects {source}; try again when it has ended")
        try:
            yield
        finally:
            self.conn.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [name])

    @contextmanager
    def fetch(self, fetcher: Fetcher, kind: str, *, account: str | None, origin: str) -> Iterator[Fetch]:
        """Record what becomes of the block as one row of `source.fetches`; an error passes on."""
        fetch = Fetch(fetcher.service.name, kind, account, origin)
        requests, retries, began = fetcher.requests, fetcher.retries, time.time()
        try:
            yield fetch
        except FetchError as error:
            fetch.outcome = error.outcome
            fetch.remark(str(error))
            raise
        except MusicError as error:
            fetch.outcome = UNSTORED
            fetch.remark(str(error))
            raise
        finally:
            fetch.requests = fetcher.requests - requests
            fetch.retries = fetcher.retries - retries
            self.write(fetch, datetime.fromtimestamp(began, UTC))

    def write(self, fetch: Fetch, began: datetime) -> None:
        """Put a look that ends now on record."""
        self.conn.execute(
            """
            insert into source.fetches (source, kind, account, origin, outcome, items, requests, retries, note,
                covered_from, covered_until, started_at, finished_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())
            """,
            [fetch.source, fetch.kind, fetch.account, fetch.origin, fetch.outcome, fetch.items, fetch.requests,
             fetch.retries, fetch.note, fetch.covered_from, fetch.covered_until, began],
        )  # fmt: skip

    def cursor(self, source: str, account: str, shape: type[C]) -> C | None:
        """Return where a collector goes on, None at its first run."""
        row = self.conn.execute(
            "select cursor from source.cursors where source = %s and account = %s", [source, account]
        ).fetchone()
        return None if row is None else msgspec.convert(row[0], shape)

    def save(self, source: str, account: str, cursor: Any) -> None:
        """Keep where a collector goes on."""
        self.conn.execute(
            """
            insert into source.cursors (source, account, cursor) values (%s, %s, %s)
            on conflict (source, account) do update set cursor = excluded.cursor, updated_at = now()
            """,
            [source, account, Jsonb(msgspec.to_builtins(cursor))],
        )

    def forget(self, source: str, account: str) -> None:
        """Drop where a collector goes on: its work is done."""
        self.conn.execute("delete from source.cursors where source = %s and account = %s", [source, account])

    def reject(self, source: str, batch: str, rows: Iterable[tuple[int, str, str | None, str]]) -> None:
        """Keep what no message could be made of: (position in the batch, reason, field, raw) each."""
        with self.conn.transaction(), self.conn.cursor() as cursor:
            cursor.executemany(
                "insert into source.rejected (source, batch, position, reason, field, raw)"
                " values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
                [(source, batch, *row) for row in rows],
            )
