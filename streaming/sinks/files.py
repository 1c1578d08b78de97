"""Data files: written beside a table's others by whoever has the rows, part of the table once a commit names them.

A task may write on any machine and die in between: a file that no commit names is nobody's, and upkeep removes it.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from deltalake.transaction import AddAction

from streaming.tables import tables

if TYPE_CHECKING:
    import pyarrow as pa

    from streaming.storage import Storage
    from streaming.tables import Table


class DataFile(msgspec.Struct, frozen=True):
    """One Parquet file of a table.

    Attributes:
        table_id: whose folder.
        name: of the file in it.
        size: bytes.
        rows: how many.
        stats: Delta's statistics of the file, as JSON: only columns that may outlive a row.
        written_ms: when, in milliseconds since 1970.
    """

    table_id: str
    name: str
    size: int
    rows: int
    stats: str
    written_ms: int

    @property
    def table(self) -> Table:
        """The table it is of."""
        return tables()[self.table_id]

    def place(self, storage: Storage) -> str:
        """Return where it lies below the lake's root until a commit takes it."""
        return f"{storage.staging(self.table_id)}/{self.name}"

    def added(self) -> AddAction:
        """Return the entry of the Delta log that makes it part of its table."""
        return AddAction(
            path=self.name,
            size=self.size,
            partition_values={},
            modification_time=self.written_ms,
            data_change=True,
            stats=self.stats,
        )


def write_data_file(rows: pa.Table, table: Table, storage: Storage) -> DataFile:
    """Write rows to a new file of the table, named by no commit yet.

    Args:
        rows: has at least the table's columns.
        table: whose folder.
        storage: where the lake lies.
    """
    content = rows.select(table.schema.names).cast(table.schema)
    name = f"part-{uuid4()}.parquet"
    return DataFile(
        table_id=table.id,
        name=name,
        size=storage.write_parquet(content, f"{storage.staging(table.id)}/{name}"),
        rows=content.num_rows,
        stats=json.dumps(_stats(content, table)),
        written_ms=time.time_ns() // 1_000_000,
    )


def read_data_file(file: DataFile, storage: Storage) -> pa.Table:
    """Return the rows of a file in the order in which they were written."""
    return storage.read_parquet(file.place(storage), schema=file.table.schema)


def _stats(rows: pa.Table, table: Table) -> dict[str, Any]:
    import pyarrow.compute as pc

    bounds = {name: pc.min_max(rows.column(name)).as_py() for name in table.skip_columns}
    held = {name: bound for name, bound in bounds.items() if bound["min"] is not None}
    return {
        "numRecords": rows.num_rows,
        "minValues": {name: _json(bound["min"]) for name, bound in held.items()},
        "maxValues": {name: _json(bound["max"]) for name, bound in held.items()},
        "nullCount": {name: rows.column(name).null_count for name in table.skip_columns},
    }


def _json(value: Any) -> Any:
    """Delta's form of a statistic: times in UTC with a Z."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value
