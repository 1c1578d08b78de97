"""Copies silver tables of the lake into the warehouse, each row once.

A row's position in Kafka decides whether it was loaded, and the watermark commits with the rows: a load that
dies leaves nothing, the next one starts where the last committed one ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from psycopg import errors, sql

from music_assets.warehouse import watermark
from music_assets.warehouse.copy import copy_rows
from music_assets.warehouse.schema import LOAD_ID, SCHEMA, check_lake_schema, ensure_table, identifier
from streaming.errors import IntegrityError
from streaming.tables import POSITION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

    from streaming.lake import Lake
    from streaming.tables import Table

    Connection = psycopg.Connection[tuple[Any, ...]]

_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"
_INCOMING: Final = sql.Identifier("incoming")
_DELETE_ABSENT: Final = sql.SQL("""
    delete from {table} as held
    where not exists (select from {incoming} as incoming where ({incoming_key}) = ({held_key}))
""")
_UPSERT: Final = sql.SQL("""
    insert into {table} as held ({columns}) select {columns} from {incoming}
    on conflict ({key}) do update set ({columns}) = row({values})
    where ({held}) is distinct from ({excluded})
""")


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """What a load did.

    Attributes:
        rows: rows copied by this load, new or changed.
        deleted: rows removed because the lake no longer has their key.
        rows_total: rows in the warehouse table afterwards.
        rows_in_lake: rows that the lake holds up to the watermark; equals `rows_total` unless rows were lost.
    """

    rows: int
    deleted: int
    rows_total: int
    rows_in_lake: int

    @property
    def complete(self) -> bool:
        """Whether every row of the lake up to the watermark is in the warehouse, and none beside them."""
        return self.rows_total == self.rows_in_lake


def load_table(conn: Connection, lake: Lake, table: Table) -> LoadResult:
    """Bring the warehouse copy of a silver table up to date with the lake, in one transaction.

    A table of events (key `event_id`) only grows: rows beyond the watermark are appended. A catalogue (key
    `item_id`) holds the last value of each key: changed rows replace, rows whose key is gone are deleted.

    Raises:
        IntegrityError: the columns differ, an event_id came under two positions, or a loaded table left the lake.
    """
    with conn.transaction():
        conn.execute(_LOCK, (f"load {SCHEMA}.{table.name}",))
        ensure_table(conn, table)
        if not lake.exists(table):
            return _nothing_to_load(conn, table)
        check_lake_schema(table, lake.dataset(table).schema)
        load = _load_log if table.key == ("event_id",) else _load_catalog
        return load(conn, lake, table)


def _nothing_to_load(conn: Connection, table: Table) -> LoadResult:
    """Accept a lake table that was never written; one that was loaded before must not be taken for empty."""
    total = _count(conn, table)
    if total:
        raise IntegrityError(f"{table.id} is gone from the lake, but {SCHEMA}.{table.name} holds {total} rows of it")
    return LoadResult(rows=0, deleted=0, rows_total=0, rows_in_lake=0)


def _load_log(conn: Connection, lake: Lake, table: Table) -> LoadResult:
    passing = _Passing(watermark.read(conn, table))
    batches = passing.follow(lake.batches(table, where=watermark.beyond(passing.watermark)))
    try:
        copy_rows(conn, identifier(table), [*table.schema.names, LOAD_ID], _stamped(batches, _load_id(conn)))
    except errors.UniqueViolation as error:
        raise IntegrityError(
            f"{table.id} holds an event under two positions ({error.diag.message_detail}): compare it with the ledger"
        ) from error
    _finish(conn, table, passing.watermark, passing.rows)
    # A file whose statistics lie below the watermark is counted and not read.
    in_lake = lake.dataset(table).count_rows(filter=watermark.up_to(passing.watermark))
    return LoadResult(rows=passing.rows, deleted=0, rows_total=_count(conn, table), rows_in_lake=in_lake)


def _load_id(conn: Connection) -> int:
    """Number the load. Taken under the table's lock, so a higher id is never seen before a lower one."""
    row = conn.execute("select nextval('ops.load_id')").fetchone()
    assert row is not None
    return int(row[0])


def _stamped(batches: Iterable[pa.RecordBatch], load_id: int) -> Iterator[pa.RecordBatch]:
    """Add the load's id to each row."""
    for batch in batches:
        yield batch.append_column(LOAD_ID, pa.repeat(pa.scalar(load_id, pa.int64()), batch.num_rows))


class _Passing:
    """Counts rows and moves the watermark while batches pass, so that none is held."""

    def __init__(self, loaded: watermark.Watermark) -> None:
        self.watermark = loaded
        self.rows = 0

    def follow(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            self.watermark = watermark.advance(self.watermark, pa.Table.from_batches([batch]))
            self.rows += batch.num_rows


def _load_catalog(conn: Connection, lake: Lake, table: Table) -> LoadResult:
    """Load a catalogue from one whole read of the lake, because its rows change place between two reads."""
    rows = lake.read(table)
    name, key = identifier(table), _names(table.key)
    conn.execute(sql.SQL("create temporary table {} (like {}) on commit drop").format(_INCOMING, name))
    names = [*table.schema.names, LOAD_ID]
    copy_rows(conn, _INCOMING, names, _stamped(rows.to_batches(), _load_id(conn)))
    deleted = conn.execute(
        _DELETE_ABSENT.format(
            table=name, incoming=_INCOMING, incoming_key=_names(table.key, of="incoming"),
            held_key=_names(table.key, of="held"),
        )
    ).rowcount  # fmt: skip
    changed = conn.execute(
        _UPSERT.format(
            table=name, incoming=_INCOMING, key=key, columns=_names(names),
            held=_names(POSITION.names, of="held"), excluded=_names(POSITION.names, of="excluded"),
            values=_names(names, of="excluded"),
        )
    ).rowcount  # fmt: skip
    conn.execute(sql.SQL("drop table {}").format(_INCOMING))
    _finish(conn, table, watermark.advance(watermark.read(conn, table), rows), changed + deleted)
    return LoadResult(rows=changed, deleted=deleted, rows_total=_count(conn, table), rows_in_lake=rows.num_rows)


def _names(names: Iterable[str], *, of: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*([of] if of else []), name) for name in names)


def _finish(conn: Connection, table: Table, reached: watermark.Watermark, changed: int) -> None:
    watermark.write(conn, table, reached)
    if changed:
        # dbt builds at once; without statistics the planner guesses and picks nested loops.
        conn.execute(sql.SQL("analyze {}").format(identifier(table)))


def _count(conn: Connection, table: Table) -> int:
    row = conn.execute(sql.SQL("select count(*) from {}").format(identifier(table))).fetchone()
    assert row is not None
    return int(row[0])
