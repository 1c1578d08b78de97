"""Rows of facts to the tables of schema `source`: copied beside the table, then merged into it by key.

The newest fact wins column by column: what it does not say (null) stays as it was. Of several rows of one key in
one call the last one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from psycopg import sql

from music_assets.warehouse.copy import copy_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

_SCHEMA: Final = "source"
_ORDER: Final = "landing_order"


@dataclass(frozen=True)
class Target:
    """A table of schema `source` and the columns that tell its rows apart."""

    name: str
    key: tuple[str, ...]


ARTISTS: Final = Target("artists", ("source", "item_id"))
ALBUMS: Final = Target("albums", ("source", "item_id"))
TRACKS: Final = Target("tracks", ("source", "item_id"))
TRACK_ARTISTS: Final = Target("track_artists", ("source", "track_id", "position"))
TAGS: Final = Target("tags", ("source", "item_id", "tag"))
SIMILAR_ARTISTS: Final = Target("similar_artists", ("source", "artist_id", "other_id"))
AUDIO_FEATURES: Final = Target("audio_features", ("source", "item_id"))


def upsert_rows(
    conn: psycopg.Connection[tuple[Any, ...]],
    target: Target,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    fill: bool = False,
) -> int:
    """Merge rows, all or none, and return how many keys there were.

    Args:
        conn: the call is a transaction of it, or a part of the one that is open.
        target: table and key.
        columns: of the rows.
        rows: values in the order of `columns`.
        fill: only nulls take a value: what is mentioned in passing must not make an older fact look new.
    """
    with conn.transaction():
        beside = _beside(conn, target)
        names = sql.SQL(", ").join(map(sql.Identifier, [*columns, _ORDER]))
        statement = sql.SQL("copy {} ({}) from stdin").format(beside, names)
        with conn.cursor() as cursor, cursor.copy(statement) as copy:
            for place, row in enumerate(rows):
                copy.write_row((*row, place))
        return _merge(conn, target, beside, columns, fill=fill)


def upsert_batches(
    conn: psycopg.Connection[tuple[Any, ...]],
    target: Target,
    columns: Sequence[str],
    batches: Iterable[pa.RecordBatch],
) -> int:
    """Merge Arrow batches that have `columns`; otherwise as `upsert_rows`. Memory stays that of a batch."""
    with conn.transaction():
        beside = _beside(conn, target)
        copy_rows(conn, beside, [*columns, _ORDER], _numbered(batches))
        return _merge(conn, target, beside, columns, fill=False)


def _numbered(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    first = 0
    for batch in batches:
        yield batch.append_column(_ORDER, pa.array(range(first, first + batch.num_rows), pa.int64()))
        first += batch.num_rows


def _beside(conn: psycopg.Connection[tuple[Any, ...]], target: Target) -> sql.Identifier:
    beside = sql.Identifier(f"landing_{target.name}")
    conn.execute(sql.SQL("drop table if exists pg_temp.{}").format(beside))
    conn.execute(
        sql.SQL("create temporary table {} (like {} including defaults, {} bigint) on commit drop").format(
            beside, sql.Identifier(_SCHEMA, target.name), sql.Identifier(_ORDER)
        )
    )
    return beside


def _merge(
    conn: psycopg.Connection[tuple[Any, ...]],
    target: Target,
    beside: sql.Identifier,
    columns: Sequence[str],
    *,
    fill: bool,
) -> int:
    first, second = ("held", "excluded") if fill else ("excluded", "held")
    facts = [column for column in columns if column not in target.key]
    keep = sql.SQL(", ").join(
        sql.SQL("{} = coalesce({}, {})").format(
            sql.Identifier(column), sql.Identifier(first, column), sql.Identifier(second, column)
        )
        for column in facts
    )
    done = conn.execute(
        sql.SQL(
            "insert into {table} as held ({columns}) select distinct on ({key}) {columns} from {beside}"
            " order by {key}, {order} desc on conflict ({key}) do update set {keep}"
        ).format(
            table=sql.Identifier(_SCHEMA, target.name),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            key=sql.SQL(", ").join(map(sql.Identifier, target.key)),
            beside=beside,
            order=sql.Identifier(_ORDER),
            keep=keep,
        )
    )
    return done.rowcount
