"""Tables of Delta: the log says which files count, since when, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from deltalake import Schema as DeltaSchema

from streaming.errors import ConfigurationError, IntegrityError
from streaming.formats.names import FIRST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyarrow.dataset import Dataset

    from streaming.storage import Storage
    from streaming.tables import Table

_CHECKPOINT_INTERVAL: Final = "100"
"""Commits between two Delta checkpoints: each costs seconds in a stream, and readers take 100 small files well."""


class DeltaTables:
    """The tables of a lake in `STORAGE_FORMAT=delta`.

    Args:
        storage: where they lie.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def exists(self, table: Table) -> bool:
        """See `Tables`."""
        if self._storage.is_delta(table):
            return True
        if self._storage.store is None and (self._storage.folder / table.id / FIRST).exists():
            raise ConfigurationError(
                f"the lake at {self._storage} was made with STORAGE_FORMAT=parquet; valid: parquet, or another "
                "LAKEHOUSE_PATH"
            )
        return False

    def create(self, table: Table) -> None:
        """See `Tables`."""
        if self.exists(table):
            self._add_columns(table)
            return
        self._storage.create_delta(
            table, name=table.id.replace("/", "_"), description=table.grain, configuration=_properties(table)
        )

    def version(self, table: Table) -> int:
        """See `Tables`."""
        return int(self._storage.delta(table).version())

    def marks(self, table: Table, app_ids: Sequence[str]) -> dict[str, int | None]:
        """See `Tables`."""
        held = self._storage.delta(table)
        return {app_id: held.transaction_version(app_id) for app_id in app_ids}

    def dataset(self, table: Table, holding: list[tuple[str, str, str]] | None = None) -> Dataset:
        """See `Tables`."""
        files = self._storage.table_files(table)
        return self._storage.delta(table).to_pyarrow_dataset(filesystem=files, file_pruning_predicate=holding)

    def statistics(self, table: Table) -> pa.Table:
        """See `Tables`."""
        return pa.table(self._storage.delta(table).get_add_actions(flatten=True))

    def _add_columns(self, table: Table) -> None:
        held = self._storage.delta(table)
        stored = pa.schema(held.schema().to_arrow())
        new = []
        for column in table.schema:
            if column.name not in stored.names and column.nullable:
                new.append(column)
            elif column.name not in stored.names or not stored.field(column.name).type.equals(column.type):
                raise IntegrityError(
                    f"table {table.id} cannot take column {column.name} as {column.type}: "
                    "a stored column keeps its type, and a new one must be optional"
                )
        if new:
            held.alter.add_columns(DeltaSchema.from_arrow(pa.schema(new)).fields)


def _properties(table: Table) -> dict[str, str | None]:
    properties: dict[str, Any] = {
        "delta.checkpointInterval": _CHECKPOINT_INTERVAL,
        "delta.dataSkippingStatsColumns": ",".join(table.skip_columns),
    }
    return properties
