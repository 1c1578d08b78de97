"""Erasure in the warehouse: staged copies, models, and what came in by file go as the lake's tombstones say.

Tombstones hold hashes, so the listeners they mean are found among those whom the warehouse knows. It waits until the
lake holds no row of theirs: as long as it does, a copy without them would look like one that lost rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc
from psycopg import sql

from streaming.columns import listener_hash
from streaming.jobs.tombstones import forgotten
from streaming.tables import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from music_assets.settings import Settings
    from streaming.lake import Lake

    Connection = psycopg.Connection[tuple[Any, ...]]

_FOLLOWED: Final = "tombstones"
_HOLDERS: Final = """
    select columns.table_schema, columns.table_name from information_schema.columns
    inner join information_schema.tables using (table_catalog, table_schema, table_name)
    where column_name = 'user_id' and table_type = 'BASE TABLE'
        and table_schema in ('silver', 'intermediate', 'marts')
    order by 1, 2
"""
# Nobody's pairs: charts of these days are made again, and no listener is.
_TOUCH: Final = """
    insert into intermediate.int_pairs_touched (activity, user_id, item_id, day_touched, load_id, touched_at)
    select 'listens', '', min(item_id), (timestamp at time zone 'UTC')::date, 0, now()
    from silver.events_listens where user_id = any(%(ids)s) group by 4
"""
_IMPORTED: Final = (
    """
    delete from source.rejected where batch in (
        select import_id::text from source.imports where listener_id = any(%(ids)s)
    )
    """,
    "delete from source.imports where listener_id = any(%(ids)s)",
    "delete from source.listener_zones where listener_id = any(%(ids)s)",
)


def follow_tombstones(settings: Settings, conn: Connection, lake: Lake) -> int:
    """Remove the listeners whom the lake forgot since the last time; returns how many the warehouse had known.

    Commits. Nothing is read but a count while the tombstones are those of the last time.
    """
    hashes = forgotten(lake)
    row = conn.execute("select load_id from ops.reconciled where name = %s", (_FOLLOWED,)).fetchone()
    if len(hashes) == (row[0] if row else 0):
        return 0
    found = [each for each in _known(conn) if listener_hash(each) in hashes]
    if any(_is_held(lake, found)):
        return 0
    forget(settings, conn, found)
    conn.execute(
        "insert into ops.reconciled (name, load_id) values (%s, %s) "
        "on conflict (name) do update set load_id = excluded.load_id, reconciled_at = now()",
        (_FOLLOWED, len(hashes)),
    )
    conn.commit()
    return len(found)


def forget(settings: Settings, conn: Connection, listener_ids: Sequence[str]) -> None:
    """Remove listeners, by their random ids, from all tables of warehouse and imports; can be repeated. Commits."""
    ids = {"ids": list(listener_ids)}
    uploads = conn.execute("select import_id from source.imports where listener_id = any(%(ids)s)", ids).fetchall()
    holders = conn.execute(_HOLDERS).fetchall()
    if {("silver", "events_listens"), ("intermediate", "int_pairs_touched")} <= set(holders):
        conn.execute(_TOUCH, ids)
    for holder in holders:
        conn.execute(sql.SQL("delete from {} where user_id = any(%(ids)s)").format(sql.Identifier(*holder)), ids)
    for statement in _IMPORTED:
        conn.execute(statement, ids)
    conn.commit()
    for (import_id,) in uploads:
        (settings.upload_root / str(import_id)).unlink(missing_ok=True)


def _known(conn: Connection) -> list[str]:
    """Every listener whom a staged table, an import or a zone names."""
    staged = [holder for holder in conn.execute(_HOLDERS).fetchall() if holder[0] == "silver"]
    queries = [sql.SQL("select user_id from {}").format(sql.Identifier(*holder)) for holder in staged]
    queries += [
        sql.SQL("select listener_id from source.{}").format(sql.Identifier(name))
        for name in ("imports", "listener_zones")
    ]
    rows = conn.execute(sql.SQL(" union ").join(queries)).fetchall()
    return [user_id for (user_id,) in rows if user_id is not None]


def _is_held(lake: Lake, listener_ids: Sequence[str]) -> list[bool]:
    """Whether each silver table still has a row of one of them."""
    silver = [table for table in tables().values() if table.layer == "silver" and "user_id" in table.schema.names]
    theirs = pc.field("user_id").isin(list(listener_ids))
    return [
        bool(listener_ids) and lake.exists(table) and lake.read(table, ["user_id"], theirs).num_rows > 0
        for table in silver
    ]
