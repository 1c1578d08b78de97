"""Reads the lake without a JVM, and makes its tables.

Every part that only looks (the API, the warehouse load, the checks, the ledger) goes through here; rows are
written only by `streaming.sinks`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from streaming.errors import UnavailableError
from streaming.formats import tables_of
from streaming.tables import tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from deltalake import DeltaTable
    from pyarrow.dataset import Dataset

    from streaming.formats import Tables
    from streaming.storage import Storage
    from streaming.tables import Table

_STATISTICS: Final = timedelta(milliseconds=1)
"""Delta cuts the times in its statistics down to this: a file may hold rows as much later than its maximum."""


class Lake:
    """A lake's place and the tables in it.

    Args:
        storage: where `bronze/`, `silver/`, `deadletter/`, `gold/` and `lake/` lie.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._tables = tables_of(storage)

    def exists(self, table: Table) -> bool:
        """Whether the table was made."""
        return self._tables.exists(table)

    def open(self, table: Table) -> DeltaTable:
        """Return the newest version of a Delta table.

        Raises:
            UnavailableError: the table was not made yet.
        """
        self._there(table)
        return self.storage.delta(table)

    def marks(self, table: Table, app_ids: Sequence[str]) -> dict[str, int | None]:
        """Return what the last commit left under each id of a writer; None where none left anything."""
        return self._there(table).marks(table, app_ids)

    def version(self, table: Table) -> int:
        """Return the number of the newest commit."""
        return self._there(table).version(table)

    def read(self, table: Table, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> pa.Table:
        """Return the table's rows in no particular order.

        Args:
            table: what to read.
            columns: names to keep; None: all.
            where: rows to keep, such as `pc.field("kafka_offset") >= 10`.
        """
        return self.dataset(table).to_table(columns=list(columns) if columns is not None else None, filter=where)

    def batches(self, table: Table, where: pc.Expression | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the table's rows in batches, for tables that may not fit into memory."""
        yield from self.dataset(table).to_batches(filter=where)

    def between(
        self, table: Table, column: str, *, after: datetime, until: datetime, columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows whose time lies in (after, until], from the files that can hold such rows only.

        Args:
            table: what to read.
            column: the time, one of the table's `skip_columns`.
            after: exclusive, with a zone.
            until: inclusive, with a zone.
            columns: names to keep.
        """
        # The statistics choose the files before any is looked at: the cost must not grow with the table.
        files = self.dataset(table, [(column, ">", after.isoformat()), (column, "<=", until.isoformat())])
        moments = (pc.field(column) > after) & (pc.field(column) <= until)
        yield from files.to_batches(columns=list(columns), filter=moments)

    def count_between(self, table: Table, column: str, *, after: datetime, until: datetime) -> int:
        """Return how many rows lie in the files that `between` would read, so at least as many as it yields."""
        files = self._there(table).statistics(table)
        if not {"num_records", f"min.{column}", f"max.{column}"} <= {*files.column_names}:
            return self.count(table)
        outside = (pc.field(f"max.{column}") <= after - _STATISTICS) | (pc.field(f"min.{column}") > until)
        held = files.filter(pc.if_else(outside.is_valid(), ~outside, True))["num_records"]  # noqa: FBT003
        return self.count(table) if held.null_count else int(pc.sum(held, min_count=0).as_py())

    def earliest(self, table: Table, column: str) -> datetime | None:
        """Return the least time in the table as its statistics know it; None when it is empty or they do not."""
        files = self._there(table).statistics(table)
        name = f"min.{column}"
        found: datetime | None = pc.min(files[name]).as_py() if name in files.column_names else None
        return found

    def count(self, table: Table) -> int:
        """Return the number of rows, from the log where it is known and from the files' footers otherwise."""
        actions = self._there(table).statistics(table)
        if "num_records" not in actions.column_names or actions.column("num_records").null_count:
            return int(self.dataset(table).count_rows())
        return int(pc.sum(actions.column("num_records"), min_count=0).as_py() or 0)

    def newest(self, table: Table, column: str) -> datetime | None:
        """Return the greatest value of a column that has statistics, from the log alone; None without rows."""
        actions = self._there(table).statistics(table)
        name = f"max.{column}"
        if name not in actions.column_names:
            return None
        newest: datetime | None = pc.max(actions.column(name)).as_py()
        return newest

    def create(self, table: Table) -> None:
        """Make the table if it is not there, empty and with its properties; else add the columns that are new.

        Raises:
            IntegrityError: a column differs from the one that is stored, or a new one may not be null.
        """
        self._tables.create(table)

    def create_all(self) -> None:
        """Make every table of the lake, so that streams never race to make one and readers find an empty one."""
        self.storage.check()
        for table in tables().values():
            self.create(table)

    def dataset(self, table: Table, holding: list[tuple[str, str, str]] | None = None) -> Dataset:
        """Return the newest version's rows.

        Args:
            table: whose.
            holding: leaves out the files that hold no row of which all of this is true, as their statistics say.
        """
        return self._there(table).dataset(table, holding)

    def _there(self, table: Table) -> Tables:
        if not self.exists(table):
            raise UnavailableError(f"table {table.id} is not in the lake at {self.storage}; start the streams first")
        return self._tables
