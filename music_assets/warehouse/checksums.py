"""The checksum of a row, the same on both sides: the head of an MD5 over all of its columns, 64 bits.

Any value that changed anywhere changes its row, and the sum of its day.
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

if TYPE_CHECKING:
    from streaming.tables import Table

Days = dict[date, tuple[int, int]]
"""Rows and sum of their hashes modulo 2**64, by day in UTC."""

EPOCH: Final = date(1970, 1, 1)

_NULL, _BETWEEN, _ELEMENT = "\x01", "\x1e", "\x1f"
_HEAD: Final = "('x' || left(md5({}), 16))::bit(64)::bigint"
_LIST_BITS: Final = """(
    select case when {0} is not null then coalesce(string_agg(coalesce({1}, chr(1)), chr(31) order by place), '') end
    from unnest({0}) with ordinality as one (each, place)
)"""
_BITS: Final = "('x' || encode(float8send({}), 'hex'))::bit(64)::bigint::text"


def moment(table: Table) -> str:
    """Return the column by which a table is cut into days."""
    return "timestamp" if "timestamp" in table.schema.names else "updated_at"


def days(rows: pa.Table, table: Table) -> np.ndarray[Any, Any]:
    """Return the day of each row, counted from 1970 in UTC."""
    micros = pc.fill_null(rows.column(moment(table)).cast(pa.int64()), 0).to_numpy()
    return np.asarray(micros // 86_400_000_000)


def hashes(rows: pa.Table, table: Table) -> np.ndarray[Any, Any]:
    """Return the 64 bits of each row, as `row_hash` has PostgreSQL compute them."""
    columns = [_text(rows.column(field.name).combine_chunks()) for field in table.schema]
    joined = pc.binary_join_element_wise(*columns, _BETWEEN)
    heads = [int.from_bytes(_digest(text), "big", signed=True) for text in joined.to_pylist()]
    return np.array(heads, np.int64)


def _digest(text: str) -> bytes:
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8]


def _text(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    kind = column.type
    if pa.types.is_list(kind):
        flat = column.flatten()
        # PostgreSQL and Arrow spell a number differently: its bits are compared.
        flat = flat.view(pa.int64()) if pa.types.is_floating(flat.type) else flat
        values = pc.fill_null(pc.cast(flat, pa.string()), _NULL)
        lengths = pc.fill_null(pc.list_value_length(column), 0)
        bounds = pa.concat_arrays([pa.array([0], pa.int32()), pc.cast(pc.cumulative_sum(lengths), pa.int32())])
        joined = pc.binary_join(pa.ListArray.from_arrays(bounds, values), _ELEMENT)
        return pc.if_else(pc.is_valid(column), joined, _NULL)
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_floating(kind):
        column = column.view(pa.int64())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    return pc.fill_null(column.cast(pa.string()), _NULL)


def row_hash(table: Table) -> sql.Composable:
    """Return the SQL of a staged row's 64 bits."""
    parts = []
    for field in table.schema:
        name = f'"{field.name}"'
        if pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type):
            text = _LIST_BITS.format(name, _BITS.format("each"))
        elif pa.types.is_list(field.type):
            text = f"array_to_string({name}, chr(31), chr(1))"
        elif pa.types.is_timestamp(field.type):
            text = f"(extract(epoch from {name}) * 1000000)::bigint::text"
        elif pa.types.is_floating(field.type):
            text = _BITS.format(name)
        elif pa.types.is_boolean(field.type):
            text = f"{name}::int::text"
        else:
            text = f"{name}::text"
        parts.append(f"coalesce({text}, chr(1))")
    return sql.SQL(_HEAD.format(" || chr(30) || ".join(parts)))


def day_of(table: Table) -> sql.Composable:
    """Return the SQL of a staged row's day in UTC."""
    return sql.SQL("coalesce(({} at time zone 'UTC')::date, date '1970-01-01')").format(sql.Identifier(moment(table)))


def by_day(hashes: np.ndarray[Any, Any], days: np.ndarray[Any, Any]) -> Days:
    """Return rows and sum of each day."""
    numbers, places, counts = np.unique(days, return_inverse=True, return_counts=True)
    sums = np.zeros(len(numbers), np.uint64)
    np.add.at(sums, places, hashes.view(np.uint64))
    named = [date.fromordinal(EPOCH.toordinal() + int(number)) for number in numbers]
    return {day: (int(count), int(total)) for day, count, total in zip(named, counts, sums, strict=True)}
