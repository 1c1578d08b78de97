"""Every write to the lake's tables; each can be repeated and leaves the same rows, however the tables are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from streaming.errors import IntegrityError
from streaming.sinks import delta, parquet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from streaming.sinks.files import DataFile
    from streaming.storage import Storage
    from streaming.tables import Table


@dataclass(frozen=True, kw_only=True)
class Write:
    """Identity of a commit: what the writer last saw in the table, and what it leaves there.

    A table keeps a version for each app id. A writer that finds another one than it left is not alone, or is a replay
    of what was done already, and must not write.

    Attributes:
        expected: by app id, the version that the table must hold; None where it holds none.
        leaves: by app id, the version that it holds afterwards.
        note: what the commit says of itself, such as the end offsets; never a value of a row.
    """

    expected: Mapping[str, int | None]
    leaves: Mapping[str, int]
    note: Mapping[str, Any]

    def check(self, table: Table, held: Mapping[str, int | None]) -> None:
        """Return if a table stands where this writer left it.

        Args:
            table: which one.
            held: by app id, the version that it holds.

        Raises:
            IntegrityError: another writer was here.
        """
        for app_id, version in self.expected.items():
            if held.get(app_id) != version:
                raise IntegrityError(
                    f"{table.id} stands at {held.get(app_id)} for {app_id}, not at {version}; does a second one write?"
                )


class _Sink(Protocol):
    def commit_files(self, files: Sequence[DataFile], table: Table, storage: Storage, *, write: Write) -> None: ...
    def append_arrow(self, rows: pa.Table, table: Table, storage: Storage, *, write: Write) -> None: ...
    def upsert(self, records: pa.Table, table: Table, storage: Storage, *, note: Mapping[str, Any]) -> None: ...
    def replace(self, chart: pa.Table, table: Table, storage: Storage, *, note: Mapping[str, Any]) -> None: ...
    def replace_ticks(
        self, charts: pa.Table, storage: Storage, *, window: str, ticks: Sequence[datetime], note: Mapping[str, Any]
    ) -> None: ...


def commit_files(files: Sequence[DataFile], table: Table, storage: Storage, *, write: Write) -> None:
    """Make staged files part of their table, in one commit.

    Raises:
        IntegrityError: another writer was here.
    """
    _sink(storage).commit_files(files, table, storage, write=write)


def append_arrow(rows: pa.Table, table: Table, storage: Storage, *, write: Write) -> None:
    """Append rows in one commit.

    Raises:
        IntegrityError: another writer was here.
    """
    _sink(storage).append_arrow(rows, table, storage, write=write)


def upsert(records: pa.Table, table: Table, storage: Storage, *, note: Mapping[str, Any]) -> None:
    """Make the table hold the last value of each key: rows marked `deleted` go, the others come or change.

    Repeating it changes nothing: a row moves only to a later position, or to another topic's.

    Args:
        records: the table's columns and `deleted`; one row per key.
        table: where to.
        storage: where the lake lies.
        note: what the commit says of itself.
    """
    _sink(storage).upsert(records, table, storage, note=note)


def replace(chart: pa.Table, table: Table, storage: Storage, *, note: Mapping[str, Any]) -> None:
    """Make a chart the table's only rows, in one commit."""
    _sink(storage).replace(chart, table, storage, note=note)


def replace_ticks(
    charts: pa.Table, storage: Storage, *, window: str, ticks: Sequence[datetime], note: Mapping[str, Any]
) -> None:
    """Make some charts of a window the history's only ones of their ticks, in one commit.

    A backfill and the service may write at once: the one whose ticks the other touched reads again and repeats.

    Args:
        charts: rows of the history, of these ticks only.
        storage: where the lake lies.
        window: name of the window.
        ticks: ends of the charts; one without a row becomes an empty chart.
        note: what the commit says of itself.

    Raises:
        UnavailableError: others kept writing the same ticks.
        ConfigurationError: the history has one of these charts, and its format keeps it.
    """
    _sink(storage).replace_ticks(charts, storage, window=window, ticks=ticks, note=note)


def _sink(storage: Storage) -> _Sink:
    return delta if storage.format == "delta" else parquet
