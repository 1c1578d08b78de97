"""The table `source.imports`: one row per file handed in, and how far it has come.

`position` counts the records that are done with: what was a play is acknowledged by the broker, what was not is in
`source.rejected`. It moves only in the transaction that also counts them, so that an import which is killed anywhere
goes on behind it; the records it may repeat are the same events.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from streaming.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import psycopg

Status = Literal["queued", "running", "done", "failed"]

KEPT: Final = 100_000
"""Rejected records of an import that are kept: a file that is none of its kind must not fill the database."""

_COLUMNS: Final = (
    "import_id, kind, file_name, sha256, listener_id, time_zone, status, position, accepted, rejected, skipped, error, "
    "created_at, updated_at"
)


@dataclass(frozen=True)
class Import:
    """A row.

    Attributes:
        import_id: its id.
        kind: of file.
        file_name: as it was called where it came from.
        sha256: digest of the content.
        listener_id: whose plays they are; None: the file says so, or it holds none.
        time_zone: of times without one.
        status: queued, running, done or failed; one that was killed stays running.
        position: records that are done with.
        accepted: of them, sent and acknowledged or stored.
        rejected: of them, in `source.rejected`.
        skipped: of them, neither, such as podcasts.
        error: why it failed.
        created_at: when it was handed in.
        updated_at: when it last went on.
    """

    import_id: UUID
    kind: str
    file_name: str
    sha256: str
    listener_id: str | None
    time_zone: str | None
    status: Status
    position: int
    accepted: int
    rejected: int
    skipped: int
    error: str | None
    created_at: datetime
    updated_at: datetime


class RejectedRow(NamedTuple):
    """A record that no table and no topic could take."""

    position: int
    reason: str
    field: str | None
    raw: str


def register(
    connection: psycopg.Connection[Any],
    *,
    kind: str,
    file_name: str,
    sha256: str,
    listener_id: str | None,
    time_zone: str | None,
    status: Status,
) -> tuple[Import, bool]:
    """Return the row of a file, made if this person has not handed it in before, and whether it was made; commits."""
    values = (kind, file_name, sha256, listener_id, time_zone, status)
    with connection.cursor(row_factory=class_row(Import)) as cursor:
        made = cursor.execute(
            "insert into source.imports (kind, file_name, sha256, listener_id, time_zone, status)"
            f" values (%s, %s, %s, %s, %s, %s) on conflict do nothing returning {_COLUMNS}",
            values,
        ).fetchone()
        found = (
            made
            or cursor.execute(
                f"select {_COLUMNS} from source.imports"
                " where kind = %s and sha256 = %s and coalesce(listener_id, '') = coalesce(%s, '')",
                (kind, sha256, listener_id),
            ).fetchone()
        )
    connection.commit()
    assert found is not None
    return found, made is not None


def get(connection: psycopg.Connection[Any], import_id: UUID) -> Import:
    """Return an import.

    Raises:
        ConfigurationError: there is none of this id.
    """
    with connection.cursor(row_factory=class_row(Import)) as cursor:
        found = cursor.execute(
            f"select {_COLUMNS} from source.imports where import_id = %s",
            (import_id,),
        ).fetchone()
    connection.commit()
    if found is None:
        raise ConfigurationError(f"there is no import {import_id}")
    return found


def newest(
    connection: psycopg.Connection[Any], *, statuses: Sequence[Status] | None = None, limit: int = 100
) -> list[Import]:
    """Return imports of some statuses, or of all, the newest first."""
    with connection.cursor(row_factory=class_row(Import)) as cursor:
        found = cursor.execute(
            f"select {_COLUMNS} from source.imports"
            " where %(statuses)s::text[] is null or status = any(%(statuses)s)"
            " order by created_at desc limit %(limit)s",
            {"statuses": list(statuses) if statuses else None, "limit": limit},
        ).fetchall()
    connection.commit()
    return found


@contextmanager
def claimed(connection: psycopg.Connection[Any], import_id: UUID) -> Iterator[Import]:
    """Be the only one who carries an import out; ends with the connection, however the process ends.

    Raises:
        UnavailableError: another process carries it out.
    """
    key = {"key": f"import:{import_id}"}
    got = connection.execute("select pg_try_advisory_lock(hashtextextended(%(key)s, 0))", key).fetchone()
    connection.commit()
    if not got or not got[0]:
        raise UnavailableError(f"import {import_id} is carried out by another process at this moment")
    try:
        yield get(connection, import_id)
    finally:
        if not connection.broken:
            connection.rollback()
            connection.execute("select pg_advisory_unlock(hashtextextended(%(key)s, 0))", key)
            connection.commit()


def is_free(connection: psycopg.Connection[Any], import_id: UUID) -> bool:
    """Whether nobody carries an import out at this moment."""
    try:
        with claimed(connection, import_id):
            return True
    except UnavailableError:
        return False


def set_status(connection: psycopg.Connection[Any], import_id: UUID, status: Status, error: str | None = None) -> None:
    """Set the status, and why it failed; commits."""
    connection.execute(
        "update source.imports set status = %s, error = %s, updated_at = now() where import_id = %s",
        (status, error, import_id),
    )
    connection.commit()


def advance(
    connection: psycopg.Connection[Any],
    record: Import,
    *,
    position: int,
    accepted: int,
    skipped: int,
    rejected: Sequence[RejectedRow],
) -> Import:
    """Count the records up to a position, keep the rejected ones, and return the row; commits.

    Args:
        connection: what it did since the last commit becomes durable together with the position.
        record: the import.
        position: records done with, all together.
        accepted: how many of the new ones were accepted.
        skipped: how many were skipped.
        rejected: those that were rejected; all count, and the first `KEPT` of an import are kept.
    """
    with connection.cursor(row_factory=class_row(Import)) as cursor:
        found = cursor.execute(
            "update source.imports set position = %s, accepted = accepted + %s, skipped = skipped + %s,"
            f" rejected = rejected + %s, updated_at = now() where import_id = %s returning {_COLUMNS}",
            (position, accepted, skipped, len(rejected), record.import_id),
        ).fetchone()
    assert found is not None
    before = found.rejected - len(rejected)
    reject(connection, record, rejected[: max(0, KEPT - before)])
    connection.commit()
    return found


def reject(connection: psycopg.Connection[Any], record: Import, rejected: Sequence[RejectedRow]) -> None:
    """Keep rejected records in the open transaction; the import's id is their batch."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into source.rejected (source, batch, position, reason, field, raw) values (%s, %s, %s, %s, %s, %s)"
            " on conflict do nothing",
            [(record.kind, str(record.import_id), *row) for row in rejected],
        )


def reasons(connection: psycopg.Connection[Any], record: Import, *, limit: int = 20) -> list[tuple[str, str, int]]:
    """Return why records of an import were rejected, as field, reason and count, the most frequent first."""
    found = connection.execute(
        "select coalesce(field, ''), reason, count(*) from source.rejected where source = %s and batch = %s"
        " group by 1, 2 order by 3 desc, 1, 2 limit %s",
        (record.kind, str(record.import_id), limit),
    ).fetchall()
    connection.commit()
    return found
