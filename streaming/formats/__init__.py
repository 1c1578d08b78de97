"""How the tables of a lake are kept (`STORAGE_FORMAT`): what reading needs to know of each way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from streaming.formats.delta import DeltaTables
from streaming.formats.parquet import ParquetTables

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from pyarrow.dataset import Dataset

    from streaming.storage import Storage
    from streaming.tables import Table


class Tables(Protocol):
    """The tables of a lake. All but the first two ask for a table that is there."""

    def exists(self, table: Table) -> bool:
        """Whether the table was made.

        Raises:
            ConfigurationError: it was made in the other format.
        """

    def create(self, table: Table) -> None:
        """Make the table if it is not there, empty; else take the columns that are new.

        Raises:
            IntegrityError: a column differs from the one that is stored, or a new one may not be null.
        """

    def version(self, table: Table) -> int:
        """Return the number of the newest commit."""

    def marks(self, table: Table, app_ids: Sequence[str]) -> dict[str, int | None]:
        """Return what the last commit left under each id of a writer; None where none left anything."""

    def dataset(self, table: Table, holding: list[tuple[str, str, str]] | None = None) -> Dataset:
        """Return the rows; without files that hold no row of which all of `holding` is true."""

    def statistics(self, table: Table) -> pa.Table:
        """Return `num_records`, and perhaps `size_bytes`, `min.COLUMN` and `max.COLUMN`, of each file."""


def tables_of(storage: Storage) -> Tables:
    """Return the tables of a lake."""
    return DeltaTables(storage) if storage.format == "delta" else ParquetTables(storage)
