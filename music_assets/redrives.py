"""Redrives of dead letters that somebody asked the API for: the request waits in a table until a run carries it out.

`music_assets.redriving` is what the run does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    import psycopg

COLUMNS: Final = "redrive_id, topic, reason, since, state, sentence, sent, asked_at, updated_at"
REQUEST: Final = f"""
insert into ops.redrives (topic, reason, since) values (%(topic)s, %(reason)s, %(since)s) returning {COLUMNS}
"""
GET: Final = f"select {COLUMNS} from ops.redrives where redrive_id = %(redrive_id)s"
_WAITING: Final = f"select {COLUMNS} from ops.redrives where state in ('asked', 'running') order by asked_at"


@dataclass(frozen=True)
class Redrive:
    """A request: which dead letters, and what became of it; `sent` is None until it is done."""

    redrive_id: UUID
    topic: str | None
    reason: str | None
    since: datetime | None
    state: str
    sentence: str
    sent: int | None
    asked_at: datetime
    updated_at: datetime


def waiting(connection: psycopg.Connection[Any]) -> list[Redrive]:
    """Return the requests that are not done, the oldest first."""
    return connection.cursor(row_factory=class_row(Redrive)).execute(_WAITING).fetchall()
