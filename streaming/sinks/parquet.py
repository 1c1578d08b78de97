"""Writes of `STORAGE_FORMAT=parquet`: a commit is one file that gets the next number, by a link that only one can make.

What a commit leaves for the next (`Write.leaves`) is written beside the file before it; a kill between the two leaves
marks of a number that nobody reads.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streaming.errors import ConfigurationError
from streaming.formats import marks
from streaming.formats.names import name_of, number_of
from streaming.formats.parquet import files as commits
from streaming.formats.parquet import stored_schema
from streaming.lake import Lake
from streaming.storage import parquet_options
from streaming.tables import TRENDING_HISTORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from streaming.sinks.files import DataFile
    from streaming.sinks.tables import Write
    from streaming.storage import Storage
    from streaming.tables import Table

_KEPT: Final = 2
"""Charts that stay: a reader may be about to open the one before."""


def commit_files(files: Sequence[DataFile], table: Table, storage: Storage, *, write: Write) -> None:
    """See `streaming.sinks.tables`."""
    staged = [storage.folder / file.place(storage) for file in files]
    _commit(staged[0] if len(staged) == 1 else _as_one(staged, table, storage), table, storage, write)
    for path in staged:
        path.unlink(missing_ok=True)


def append_arrow(rows: pa.Table, table: Table, storage: Storage, *, write: Write) -> None:
    """See `streaming.sinks.tables`."""
    _commit(_staged(rows, table, storage), table, storage, write)


def upsert(
    records: pa.Table,
    table: Table,
    storage: Storage,
    *,
    note: Mapping[str, Any],  # noqa: ARG001 - there is no log to say it in
) -> None:
    """See `streaming.sinks.tables`: the history grows, and who reads it sees the last values."""
    _commit(_staged(records, table, storage), table, storage)


def replace(
    chart: pa.Table,
    table: Table,
    storage: Storage,
    *,
    note: Mapping[str, Any],  # noqa: ARG001 - there is no log to say it in
) -> None:
    """See `streaming.sinks.tables`."""
    _commit(_staged(chart, table, storage), table, storage)
    for path in commits(storage, table)[1:-_KEPT]:
        path.unlink(missing_ok=True)


def replace_ticks(
    charts: pa.Table,
    storage: Storage,
    *,
    window: str,
    ticks: Sequence[datetime],
    note: Mapping[str, Any],  # noqa: ARG001 - there is no log to say it in
) -> None:
    """See `streaming.sinks.tables`.

    Raises:
        ConfigurationError: the history has one of these charts.
    """
    chosen = (pc.field("window") == window) & pc.field("as_of").isin(list(ticks))
    if Lake(storage).read(TRENDING_HISTORY, ["as_of"], chosen).num_rows:
        raise ConfigurationError(
            f"STORAGE_FORMAT=parquet keeps the charts of {TRENDING_HISTORY.id} as they are; compute only those "
            "that are missing (`music backfill trending --missing`), or keep the lake as delta"
        )
    _commit(_staged(charts, TRENDING_HISTORY, storage), TRENDING_HISTORY, storage)


def _staged(rows: pa.Table, table: Table, storage: Storage) -> Path:
    """Write rows to a file that is of no table yet."""
    schema = stored_schema(table)
    place = f"{storage.staging(table.id)}/{uuid4()}.parquet"
    storage.write_parquet(rows.select(schema.names).cast(schema), place)
    return storage.folder / place


def _as_one(staged: Sequence[Path], table: Table, storage: Storage) -> Path:
    """Put files together, so that all their rows come with one link."""
    schema = stored_schema(table)
    path = storage.folder / storage.staging(table.id) / f"{uuid4()}.parquet"
    with pq.ParquetWriter(path, schema, **parquet_options(schema)) as out:
        for each in staged:
            out.write_table(pq.read_table(each, schema=schema, partitioning=None))
    return path


def _commit(staged: Path, table: Table, storage: Storage, write: Write | None = None) -> None:
    """Give a file the next number; it leaves staging."""
    folder = storage.folder / table.id
    while True:
        number = number_of(commits(storage, table)[-1].name)
        held = marks.read(folder, number)
        if write:
            write.check(table, held)
        marks.write(folder, number + 1, {**held, **(write.leaves if write else {})})
        try:
            os.link(staged, folder / name_of(number + 1))
        except FileExistsError:
            continue
        break
    staged.unlink()
    marks.forget(folder, number)
