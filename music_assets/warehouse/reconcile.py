"""Compares lake, staged copies and marts, and names what differs.

Both sides reduce a row to a checksum and a day to their sum; only days that differ are looked at event by event. A
comparison is of everything, or of what came and what was built since the last one that found nothing: its cost is that
of what is new.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from music_assets.warehouse import checksums, watermark
from music_assets.warehouse.reconcile_marts import queries
from music_assets.warehouse.schema import LOAD_ID, identifier
from streaming.tables import Table, tables

if TYPE_CHECKING:
    import psycopg

    from streaming.lake import Lake

    Connection = psycopg.Connection[tuple[Any, ...]]

NAMED: Final = 20
"""Events that a difference names at most."""

_MARTS: Final = "marts"
_READ: Final = "select load_id, touched_at from ops.reconciled where name = %s"
_WRITE: Final = """
    insert into ops.reconciled (name, load_id, touched_at) values (%s, %s, %s)
    on conflict (name) do update set load_id = excluded.load_id, touched_at = excluded.touched_at, reconciled_at = now()
"""
_TOUCHED_AT: Final = "select max(touched_at) from intermediate.int_pairs_touched"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A day on which two places do not hold the same.

    Attributes:
        between: the two places, such as `lake and staging`.
        table: of the second place, such as `silver.events_listens`.
        day: in UTC; for a catalogue, of its last change.
        ids: events or items that differ, at most `NAMED` of them.
    """

    between: str
    table: str
    day: date
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.between} differ in {self.table} on {self.day}: {', '.join(self.ids)}"


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Rows of a silver table to compare: those beyond `after` and loaded after `load_id`."""

    table: Table
    after: watermark.Watermark
    load_id: int


def reconcile(conn: Connection, lake: Lake, *, whole: bool = True) -> list[Difference]:
    """Return every difference between lake, staging and marts, as far as the warehouse was loaded and built.

    A load that lands meanwhile is not seen, and one that landed after the build counts from the next build on.

    Args:
        conn: in a transaction with one snapshot for all of its statements (repeatable read).
        lake: the lake.
        whole: compare every row, not only what is new since the last comparison that found nothing.
    """
    found: list[Difference] = []
    for table in tables().values():
        if table.layer == "silver" and _is_loaded(conn, lake, table):
            part = _part(conn, table, whole=whole)
            found += _catalogue(conn, lake, part) if table.keeps_last else _events(conn, lake, part)
    since = None if whole else _reconciled(conn, _MARTS)[1]
    for name, query in queries(since).items():
        rows = conn.execute(query, {"named": NAMED, "since": since}).fetchall()
        found += [Difference(between="staging and marts", table=name, day=day, ids=tuple(ids)) for day, ids in rows]
    if not found:
        _remember(conn, lake)
    return found


def _is_loaded(conn: Connection, lake: Lake, table: Table) -> bool:
    row = conn.execute("select to_regclass(%s) is not null", (identifier(table).as_string(conn),)).fetchone()
    return bool(row and row[0]) and lake.exists(table)


def _mark(table: Table) -> Table:
    """Under this name the watermark of what was compared is kept, beside that of what was loaded."""
    return replace(table, name=f"reconciled/{table.name}")


def _part(conn: Connection, table: Table, *, whole: bool) -> _Part:
    if whole:
        return _Part(table=table, after={}, load_id=-1)
    load_id = _reconciled(conn, table.name)[0]
    return _Part(table=table, after=watermark.read(conn, _mark(table)), load_id=-1 if load_id is None else load_id)


def _reconciled(conn: Connection, name: str) -> tuple[int | None, datetime | None]:
    row = conn.execute(_READ, (name,)).fetchone()
    return (row[0], row[1]) if row else (None, None)


def _remember(conn: Connection, lake: Lake) -> None:
    """Write down how far everything agrees."""
    for table in tables().values():
        if table.layer == "silver" and _is_loaded(conn, lake, table):
            conn.execute(_WRITE, (table.name, _newest_load(conn, table), None))
            watermark.write(conn, _mark(table), watermark.read(conn, table))
    row = conn.execute(_TOUCHED_AT).fetchone()
    conn.execute(_WRITE, (_MARTS, None, row and row[0]))


def _newest_load(conn: Connection, table: Table) -> int | None:
    query = sql.SQL("select max({}) from {}").format(sql.Identifier(LOAD_ID), identifier(table))
    row = conn.execute(query).fetchone()
    return row[0] if row else None


def _events(conn: Connection, lake: Lake, part: _Part) -> list[Difference]:
    """Compare a table of events by its days."""
    table = part.table
    theirs = _staged_days(conn, part)
    reached = watermark.up_to(watermark.read(conn, table))
    beyond = watermark.beyond(part.after)
    rows = lake.read(table, where=reached if beyond is None else beyond & reached)
    hashes, days = checksums.hashes(rows, table), checksums.days(rows, table)
    ours = checksums.by_day(hashes, days)
    found = []
    for day in sorted(ours.keys() | theirs.keys()):
        if ours.get(day) != theirs.get(day):
            mine = days == (day - checksums.EPOCH).days
            held = _staged(conn, part, sql.SQL("{} = %(day)s").format(checksums.day_of(table)), day)
            ids = _differing(dict(zip(_keys(rows, table, mine), hashes[mine].tolist(), strict=True)), held)
            found.append(Difference(between="lake and staging", table=f"silver.{table.name}", day=day, ids=ids))
    return found


def _catalogue(conn: Connection, lake: Lake, part: _Part) -> list[Difference]:
    """Compare a catalogue by its items, if any was loaded anew; an item that the lake changed since the load waits."""
    table = part.table
    if (_newest_load(conn, table) or 0) <= part.load_id:
        return []
    rows = lake.read(table)
    keys = rows.column(table.key[0]).to_pylist()
    loaded = watermark.read(conn, table)
    later = rows.filter(beyond).column(table.key[0]) if (beyond := watermark.beyond(loaded)) is not None else []
    waits = {key.as_py() for key in later}
    ours = dict(zip(keys, checksums.hashes(rows, table).tolist(), strict=True))
    theirs = _staged(conn, replace(part, load_id=-1), sql.SQL("true"))
    found: dict[date, list[str]] = {}
    for key in _differing(_without(ours, waits), _without(theirs, waits)):
        found.setdefault(_day_of(conn, rows, table, key), []).append(key)
    return [
        Difference(between="lake and staging", table=f"silver.{table.name}", day=day, ids=tuple(ids))
        for day, ids in sorted(found.items())
    ]


def _day_of(conn: Connection, rows: pa.Table, table: Table, key: str) -> date:
    """Day of an item's last change, as the staged copy knows it, or else the lake."""
    query = sql.SQL("select {} from {} where {} = %s").format(
        checksums.day_of(table), identifier(table), sql.Identifier(table.key[0])
    )
    held = conn.execute(query, (key,)).fetchone()
    if held is not None:
        day: date = held[0]
        return day
    mine = rows.filter(pc.field(table.key[0]) == key)
    return date.fromordinal(checksums.EPOCH.toordinal() + int(checksums.days(mine, table)[0]))


def _without(rows: dict[str, int], waits: Collection[str]) -> dict[str, int]:
    return {key: value for key, value in rows.items() if key not in waits}


def _keys(rows: pa.Table, table: Table, mine: np.ndarray[Any, Any]) -> list[str]:
    keys: list[str] = rows.column(table.key[0]).filter(pa.array(mine)).to_pylist()
    return keys


def _staged_days(conn: Connection, part: _Part) -> checksums.Days:
    table = part.table
    query = sql.SQL("select {}, count(*), sum({}::numeric) from {} where {} > %s group by 1").format(
        checksums.day_of(table), checksums.row_hash(table), identifier(table), sql.Identifier(LOAD_ID)
    )
    rows = conn.execute(query, (part.load_id,)).fetchall()
    return {day: (count, int(total) % 2**64) for day, count, total in rows}


def _staged(conn: Connection, part: _Part, where: sql.Composable, day: date | None = None) -> dict[str, int]:
    table = part.table
    query = sql.SQL("select {}, {} from {} where {} > %(load_id)s and {}").format(
        sql.Identifier(table.key[0]), checksums.row_hash(table), identifier(table), sql.Identifier(LOAD_ID), where
    )
    return dict(conn.execute(query, {"load_id": part.load_id, "day": day}).fetchall())


def _differing(ours: dict[str, int], theirs: dict[str, int]) -> tuple[str, ...]:
    return tuple(sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))[:NAMED])
