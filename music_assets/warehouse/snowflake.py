"""Snowflake as the warehouse: makes what the platform needs there, and loads it from the lake and the database.

Rows go as Parquet files into a stage and from there into tables. A file's name says which rows it holds, and Snowflake
loads a file of one name once: a load that died between copy and watermark is repeated without harm.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from music_assets.warehouse import watermark
from music_assets.warehouse.schema import LOAD_ID
from streaming.errors import IntegrityError, UnavailableError
from streaming.tables import Table, tables

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import psycopg

    from music_assets.settings import Settings
    from streaming.lake import Lake

SCHEMAS: Final = ("silver", "source", "staging", "intermediate", "marts")
STAGE: Final = "silver.incoming"

_TYPES: Final[dict[str, str]] = {
    "text": "varchar", "boolean": "boolean", "integer": "integer", "bigint": "bigint", "double precision": "double",
    "timestamp with time zone": "timestamp_tz",
}  # fmt: skip
_ARROW: Final[dict[str, pa.DataType]] = {
    "text": pa.string(), "boolean": pa.bool_(), "integer": pa.int32(), "bigint": pa.int64(),
    "double precision": pa.float64(), "timestamp with time zone": pa.timestamp("us", tz="UTC"),
}  # fmt: skip
_SOURCES: Final = (
    "artists", "albums", "tracks", "track_artists", "tags", "similar_artists", "audio_features", "item_links",
    "listener_zones",
)  # fmt: skip
"""Tables of schema `source` that dbt reads."""
_COLUMNS: Final = """
    select column_name, data_type from information_schema.columns
    where table_schema = 'source' and table_name = %s order by ordinal_position
"""


def statements(settings: Settings) -> list[str]:
    """Return what `setup` does, in order. Each may be repeated."""
    role, database, warehouse = settings.snowflake_role, settings.snowflake_database, settings.snowflake_warehouse
    return [
        f"create role if not exists {role}",
        f"create warehouse if not exists {warehouse} warehouse_size = xsmall auto_suspend = 60 auto_resume = true",
        f"create database if not exists {database}",
        f"grant usage on warehouse {warehouse} to role {role}",
        f"grant ownership on database {database} to role {role} copy current grants",
        f"grant role {role} to user {settings.snowflake_user}",
        *objects(settings),
    ]


def objects(settings: Settings) -> list[str]:
    """Return what makes the schemas and the stage in a database that is there."""
    return [
        f"use database {settings.snowflake_database}",
        *(f"create schema if not exists {schema}" for schema in SCHEMAS),
        f"create stage if not exists {STAGE}",
    ]


def setup(settings: Settings) -> None:
    """Make role, virtual warehouse, database, schemas and stage where they are missing."""
    with connect(settings) as cursor:
        for statement in statements(settings):
            cursor.execute(statement)


@contextmanager
def connect(settings: Settings) -> Iterator[Any]:
    """Open a session and give its cursor.

    Raises:
        UnavailableError: Snowflake cannot be reached or refuses the key.
    """
    import snowflake.connector
    from cryptography.hazmat.primitives import serialization

    assert settings.snowflake_private_key is not None, "settings hold it when Snowflake is the warehouse"
    pem = settings.snowflake_private_key.get_secret_value().encode()
    key = serialization.load_pem_private_key(pem, password=None).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    host = settings.snowflake_host or f"{settings.snowflake_account}.snowflakecomputing.com"
    try:
        session = snowflake.connector.connect(
            account=settings.snowflake_account, user=settings.snowflake_user, private_key=key, host=host,
            port=settings.snowflake_port, protocol=settings.snowflake_protocol, role=settings.snowflake_role,
            warehouse=settings.snowflake_warehouse, database=settings.snowflake_database,
            session_parameters={"TIMEZONE": "UTC"},
        )  # fmt: skip
    except snowflake.connector.errors.Error as error:
        raise UnavailableError(f"SNOWFLAKE_ACCOUNT {settings.snowflake_account} failed: {error.msg}") from error
    try:
        with session.cursor() as cursor:
            yield cursor
    finally:
        session.close()


def load(
    settings: Settings, conn: psycopg.Connection[tuple[Any, ...]], lake: Lake, *, only: Collection[Table] | None = None
) -> dict[str, int]:
    """Load what the lake and schema `source` hold; returns the rows that each table has afterwards.

    Tables of events take rows beyond the watermark, the others are replaced.

    Args:
        settings: name the account.
        conn: of PostgreSQL, which holds schema `source` and how far tables were loaded.
        lake: the lake.
        only: silver tables to load; None: all of them.

    Raises:
        IntegrityError: a table does not hold as many rows afterwards as it should.
    """
    totals: dict[str, int] = {}
    with connect(settings) as cursor:
        for table in tables().values() if only is None else only:
            if table.layer == "silver":
                totals[table.id] = _load_silver(cursor, conn, lake, table)
        for name in _SOURCES:
            totals[f"source/{name}"] = _load_source(cursor, conn, name)
    return totals


def count(settings: Settings, name: str) -> int:
    """Return the rows of a table, `schema.name`; Snowflake knows them without reading it."""
    with connect(settings) as cursor:
        return int(_first(cursor.execute(f"select count(*) from {name}").fetchall()))


def _load_silver(cursor: Any, conn: psycopg.Connection[tuple[Any, ...]], lake: Lake, table: Table) -> int:
    grows = table.key == ("event_id",)
    kinds = {field.name: _snowflake_type(field.type) for field in table.schema} | {LOAD_ID: "bigint"}
    ours = replace(table, name=f"snowflake/{table.name}")
    reached = watermark.read(conn, ours) if grows else {}
    _create(cursor, f"silver.{table.name}", kinds, replace_it=not reached)
    if not lake.exists(table):
        return 0
    rows = lake.read(table, where=watermark.beyond(reached))
    load_id = conn.execute("select nextval('ops.load_id')").fetchone()
    assert load_id is not None
    stamped = rows.append_column(LOAD_ID, pa.repeat(pa.scalar(load_id[0], pa.int64()), rows.num_rows))
    _copy(cursor, f"silver.{table.name}", stamped, about=repr(sorted(reached.items())))
    after = watermark.advance(reached, rows)
    watermark.write(conn, ours, after)
    conn.commit()
    expected = lake.read(table, columns=["kafka_offset"], where=watermark.up_to(after)).num_rows
    return _count(cursor, f"silver.{table.name}", expected)


def _load_source(cursor: Any, conn: psycopg.Connection[tuple[Any, ...]], name: str) -> int:
    kinds = dict(conn.execute(_COLUMNS, (name,)).fetchall())
    statement = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(map(sql.Identifier, kinds)), sql.Identifier("source", name)
    )
    found = conn.execute(statement).fetchall()
    schema = pa.schema([(column, _ARROW[kind]) for column, kind in kinds.items()])
    _create(cursor, f"source.{name}", {column: _TYPES[kind] for column, kind in kinds.items()}, replace_it=True)
    rows = pa.Table.from_pylist([dict(zip(kinds, row, strict=True)) for row in found], schema=schema)
    _copy(cursor, f"source.{name}", rows, about="all")
    return _count(cursor, f"source.{name}", len(found))


def _snowflake_type(kind: pa.DataType) -> str:
    from music_assets.warehouse.schema import postgres_type

    return "array" if pa.types.is_list(kind) else _TYPES[postgres_type(kind)]


def _create(cursor: Any, name: str, kinds: dict[str, str], *, replace_it: bool) -> None:
    how = "create or replace table" if replace_it else "create table if not exists"
    cursor.execute(f"{how} {name} ({', '.join(f'{column} {kind}' for column, kind in kinds.items())})")


def _copy(cursor: Any, name: str, rows: pa.Table, *, about: str) -> None:
    """Put rows into the stage as one file and copy it into a table."""
    if not rows.num_rows:
        return
    digest = hashlib.sha256(f"{name} {about} {rows.num_rows}".encode()).hexdigest()[:16]
    with tempfile.TemporaryDirectory(prefix="snowflake-") as folder:
        path = Path(folder) / f"{digest}.parquet"
        pq.write_table(rows.rename_columns([column.upper() for column in rows.column_names]), path)
        cursor.execute(f"put file://{path} @{STAGE}/{name} overwrite = true auto_compress = false")
    cursor.execute(
        f"copy into {name} from @{STAGE}/{name}/{path.name} file_format = (type = parquet use_logical_type = true) "
        "match_by_column_name = case_insensitive"
    )


def _count(cursor: Any, name: str, expected: int) -> int:
    found = int(_first(cursor.execute(f"select count(*) from {name}").fetchall()))
    if found != expected:
        raise IntegrityError(f"{name} holds {found} rows in Snowflake, {expected} were to be there: load it anew")
    return found


def _first(rows: Sequence[Sequence[Any]]) -> Any:
    return rows[0][0]
