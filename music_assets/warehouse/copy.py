"""Arrow rows to PostgreSQL through `COPY ... FROM STDIN` as CSV.

CSV tells NULL (nothing) from the empty string (two quotes), and Arrow writes it without a Python object per value.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

_COPY: Final = sql.SQL("copy {} ({}) from stdin (format csv)")
_OPTIONS: Final = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")


def copy_rows(
    conn: psycopg.Connection[tuple[Any, ...]],
    target: sql.Identifier,
    columns: Sequence[str],
    batches: Iterable[pa.RecordBatch],
) -> None:
    """Append batches to the table `target`, which has columns of the same names. Memory stays that of a batch."""
    statement = _COPY.format(target, sql.SQL(", ").join(map(sql.Identifier, columns)))
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in batches:
            buffer = io.BytesIO()
            flat = pa.table([_flat(batch.column(name)) for name in columns], names=list(columns))
            pyarrow.csv.write_csv(flat, buffer, _OPTIONS)
            copy.write(buffer.getbuffer())


def _flat(column: pa.Array) -> pa.Array:
    """Return a list column as PostgreSQL array literals, any other as it is."""
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    return _array_literals(column) if is_list else column


def _array_literals(lists: pa.ListArray) -> pa.StringArray:
    values = pc.cast(lists.flatten(), pa.string())
    escaped = pc.replace_substring(pc.replace_substring(values, "\\", "\\\\"), '"', '\\"')
    quoted = pc.fill_null(pc.binary_join_element_wise('"', escaped, '"', ""), "NULL")
    offsets = pc.cumulative_sum(pc.fill_null(pc.list_value_length(lists), 0))
    bounds = pa.concat_arrays([pa.array([0], pa.int32()), pc.cast(offsets, pa.int32())])
    inner = pc.binary_join(pa.ListArray.from_arrays(bounds, quoted), ",")
    literals = pc.binary_join_element_wise("{", inner, "}", "")
    return pc.if_else(pc.is_valid(lists), literals, pa.scalar(None, pa.string()))
