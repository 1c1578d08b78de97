"""Rows of a lake table by an SQL condition, for people who look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import QueryBuilder

from streaming.errors import ConfigurationError
from streaming.lake import Lake
from streaming.tables import tables

if TYPE_CHECKING:
    from streaming.storage import Storage


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What was found.

    Attributes:
        columns: their names.
        rows: the first rows that match.
        total: rows that match.
        version: version of the table that was read.
    """

    columns: list[str]
    rows: list[list[Any]]
    total: int
    version: int


def rows(storage: Storage, table: str, *, where: str, limit: int) -> Rows:
    """Return the rows of a table that match.

    Args:
        storage: where the lake lies.
        table: id, such as `silver/events_listens`.
        where: an SQL condition; empty: every row.
        limit: rows at most.

    Raises:
        ConfigurationError: there is no such table, or the condition is no SQL.
        UnavailableError: the table was not made yet.
    """
    if table not in tables():
        raise ConfigurationError(f"there is no table {table!r}; valid: {', '.join(sorted(tables()))}")
    storage.require_delta("`music lake show`")
    opened = Lake(storage).open(tables()[table])
    query = QueryBuilder().register("rows", opened)
    condition = f"where {where}" if where else ""
    try:
        found = pa.table(query.execute(f"select * from rows {condition} limit {limit}").read_all())
        total = pa.table(query.execute(f"select count(*) from rows {condition}").read_all())
    except Exception as error:  # its own error class is not public
        raise ConfigurationError(f"--where {where!r} cannot be read: {str(error).splitlines()[0]}") from error
    return Rows(
        columns=found.column_names,
        rows=[list(row.values()) for row in found.to_pylist()],
        total=total.column(0)[0].as_py(),
        version=opened.version(),
    )
