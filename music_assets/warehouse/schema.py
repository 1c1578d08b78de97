"""The warehouse tables of schema `silver`: derived from the lake's, created when missing, never altered in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from psycopg import sql

from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from streaming.tables import Table

SCHEMA: Final = "silver"
LOAD_ID: Final = "load_id"
"""Column that only the copies have: which load brought the row. Loads of a table commit in the order of their ids."""

_TYPES: Final[dict[pa.DataType, str]] = {
    pa.string(): "text",
    pa.large_string(): "text",
    pa.string_view(): "text",
    pa.bool_(): "boolean",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.timestamp("us", tz="UTC"): "timestamp with time zone",
}

_COLUMNS: Final = """
    select attname, format_type(atttypid, atttypmod), attnotnull
    from pg_attribute
    where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
"""

_INDEX: Final = sql.SQL("create index if not exists {} on {} ({})")
_INDEXES: Final = {
    "load_id": (LOAD_ID,), "pair": ("user_id", "item_id"), "item": ("item_id",), "day": ("user_id", "timestamp"),
}  # fmt: skip

Column = tuple[str, bool]
"""PostgreSQL type and whether it is not null."""


def postgres_type(kind: pa.DataType) -> str:
    """Return the PostgreSQL type of an Arrow type.

    Raises:
        IntegrityError: there is none.
    """
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{postgres_type(kind.value_type)}[]"
    if kind not in _TYPES:
        raise IntegrityError(f"no warehouse type for a lake column of type {kind}")
    return _TYPES[kind]


def identifier(table: Table) -> sql.Identifier:
    """Return the quoted, qualified name of a lake table in the warehouse."""
    return sql.Identifier(SCHEMA, table.name)


def ensure_table(conn: psycopg.Connection[tuple[Any, ...]], table: Table) -> None:
    """Create the warehouse table of a lake table, or check that the one there has its columns.

    Raises:
        IntegrityError: a column differs; the message names it.
    """
    expected = {field.name: (postgres_type(field.type), not field.nullable) for field in table.schema}
    expected[LOAD_ID] = ("bigint", True)
    found = _columns(conn, table)
    if found:
        _compare(f"{SCHEMA}.{table.name}", expected, found)
        _ensure_indexes(conn, table)
        return
    columns = [
        sql.SQL("{} {} {}").format(sql.Identifier(name), sql.SQL(kind), sql.SQL("not null" if not_null else "null"))
        for name, (kind, not_null) in expected.items()
    ]
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    statement = sql.SQL("create table {} ({}, primary key ({}))")
    conn.execute(statement.format(identifier(table), sql.SQL(", ").join(columns), key))
    conn.execute(sql.SQL("comment on table {} is {}").format(identifier(table), sql.Literal(table.grain)))
    _ensure_indexes(conn, table)


def _ensure_indexes(conn: psycopg.Connection[tuple[Any, ...]], table: Table) -> None:
    """Index what incremental models ask a table of events for.

    That is the rows of a load, a listener's rows of an item and all rows of an item, and where answers show many items,
    a listener's rows of a day.
    """
    if table.key != ("event_id",):
        return
    for suffix, columns in _INDEXES.items():
        if ("item_id" in table.schema.names) != ("item_id" in columns) and suffix != "load_id":
            continue
        name, names = f"{table.name}_{suffix}", sql.SQL(", ").join(map(sql.Identifier, columns))
        conn.execute(_INDEX.format(sql.Identifier(name), identifier(table), names))


def check_lake_schema(table: Table, schema: pa.Schema) -> None:
    """Check that what was read from the lake has the columns the table declares.

    Raises:
        IntegrityError: a column differs; the message names it.
    """
    expected = {field.name: (postgres_type(field.type), False) for field in table.schema}
    _compare(f"lake table {table.id}", expected, {field.name: (postgres_type(field.type), False) for field in schema})


def _columns(conn: psycopg.Connection[tuple[Any, ...]], table: Table) -> dict[str, Column]:
    rows = conn.execute(_COLUMNS, (identifier(table).as_string(conn),)).fetchall()
    return {name: (kind, not_null) for name, kind, not_null in rows}


def _compare(where: str, expected: Mapping[str, Column], found: Mapping[str, Column]) -> None:
    advice = "bring it in line with streaming.tables before loading"
    for name in expected.keys() | found.keys():
        if name not in found:
            raise IntegrityError(f"{where} has no column {name!r}: {advice}")
        if name not in expected:
            raise IntegrityError(f"{where} has an unknown column {name!r}: {advice}")
        if expected[name] != found[name]:
            want, have = (f"{kind}{' not null' * not_null}" for kind, not_null in (expected[name], found[name]))
            raise IntegrityError(f"{where} column {name!r} is {have}, not {want}: {advice}")
