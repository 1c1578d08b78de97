"""Erasures that were asked for: the request takes the person away at once; `music_assets.forget` does the rest.

`request` is one transaction: the mapping from the user id to the random listener id goes, and with it everything that
hangs on it in the schema `identity`; a tombstone stays, so that no import or event makes the user a listener again; and
the listener id waits in `identity.erasures` until no store holds it any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    import psycopg

COLUMNS: Final = "erasure_id, listener_id, status, hidden_at, gone_at, rows, tries, error, updated_at"

REQUEST: Final = """
with gone as (
    delete from identity.listener where user_id = %(user_id)s returning listener_id::text, user_id
),
asked as (
    insert into identity.erasures (listener_id, status, gone_at)
    select listener_id, 'queued', jsonb_build_object('mapping', now()) from gone
    returning erasure_id, listener_id
),
kept_out as (
    insert into identity.tombstones (user_hash, erasure_id)
    select identity.user_hash(gone.user_id), asked.erasure_id from gone, asked
    on conflict (user_hash) do update set erasure_id = excluded.erasure_id, erased_at = now()
)
select erasure_id, listener_id from asked
"""
"""One statement, one transaction; no row: nobody of this user id is known."""

GET: Final = f"select {COLUMNS} from identity.erasures where erasure_id = %(erasure_id)s"


@dataclass(frozen=True)
class Erasure:
    """A request: who is None once it is done; `gone_at` says, by store, when its last byte was gone or will be."""

    erasure_id: UUID
    listener_id: str | None
    status: str
    hidden_at: datetime
    gone_at: dict[str, str | None]
    rows: dict[str, int]
    tries: int
    error: str | None
    updated_at: datetime


def waiting(connection: psycopg.Connection[Any]) -> list[Erasure]:
    """Return the erasures that are not done, the oldest first."""
    cursor = connection.cursor(row_factory=class_row(Erasure))
    return cursor.execute(
        f"select {COLUMNS} from identity.erasures where status <> 'done' order by hidden_at"
    ).fetchall()


def readmit(connection: psycopg.Connection[Any], user_id: str) -> bool:
    """Let a user who was erased be a listener again, a new one; return whether they were kept out. Commits."""
    done = connection.execute(
        "delete from identity.tombstones where user_hash = identity.user_hash(%s) returning true", (user_id,)
    ).fetchone()
    connection.commit()
    return done is not None
