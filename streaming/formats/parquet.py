"""Tables without a log: a folder of numbered Parquet files, each of which is one commit and is never changed.

`000000000007.parquet` is there as a whole or not at all, and only one writer can make it. The first file is empty and
says that the table was made. A chart is its last file alone. A catalogue is kept as its history, and its rows are the
last values.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from streaming.errors import ConfigurationError, IntegrityError, UnavailableError
from streaming.formats import marks
from streaming.formats.names import FIRST, number_of
from streaming.tables import CHARTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from streaming.storage import Storage
    from streaming.tables import Table

_FOOTERS: Final = 200_000
"""Footers kept in memory: some 300 bytes each."""
_STAGED_SECONDS: Final = 86_400.0
"""No batch commits what it staged so long ago."""
_DELETED: Final = pa.field("deleted", pa.bool_())
_PLACE: Final = ("kafka_topic_id", "kafka_offset")


class ParquetTables:
    """The tables of a lake in `STORAGE_FORMAT=parquet`.

    Args:
        storage: a folder of this machine.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def exists(self, table: Table) -> bool:
        """See `Tables`."""
        folder = self._storage.folder / table.id
        if (folder / "_delta_log").exists():
            raise ConfigurationError(
                f"the lake at {self._storage} was made with STORAGE_FORMAT=delta; valid: delta, or another "
                "LAKEHOUSE_PATH"
            )
        return (folder / FIRST).exists()

    def create(self, table: Table) -> None:
        """See `Tables`."""
        folder = self._storage.folder / table.id
        draft = self._storage.staging(table.id)
        (self._storage.folder / draft).mkdir(parents=True, exist_ok=True)
        if self.exists(table):
            _check_columns(table, pq.read_schema(files(self._storage, table)[-1]))
            self._forget_staged(table)
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._storage.write_parquet(stored_schema(table).empty_table(), f"{draft}/{FIRST}")
        (self._storage.folder / draft / FIRST).replace(folder / FIRST)

    def _forget_staged(self, table: Table) -> None:
        for path in (self._storage.folder / self._storage.staging(table.id)).glob("*.parquet"):
            if time.time() - path.stat().st_mtime > _STAGED_SECONDS:
                path.unlink(missing_ok=True)

    def version(self, table: Table) -> int:
        """See `Tables`."""
        return number_of(files(self._storage, table)[-1].name)

    def marks(self, table: Table, app_ids: Sequence[str]) -> dict[str, int | None]:
        """See `Tables`."""
        held = marks.read(self._storage.folder / table.id, self.version(table))
        return {app_id: held.get(app_id) for app_id in app_ids}

    def dataset(self, table: Table, holding: list[tuple[str, str, str]] | None = None) -> pads.Dataset:
        """See `Tables`."""
        held = shown(self._storage, table)
        if holding:
            held = [path for path in held if _may_hold(_footer_of(path, table), holding)] or held[:1]
        rows = pads.dataset([str(path) for path in held], schema=stored_schema(table), format="parquet")
        return pads.dataset(_last_values(rows.to_table(), table)) if table.keeps_last else rows

    def statistics(self, table: Table) -> pa.Table:
        """See `Tables`."""
        if table.keeps_last:
            return pa.table({"num_records": pa.array([self.dataset(table).count_rows()], pa.int64())})
        bounds = [
            (f"{end}.{name}", table.schema.field(name).type) for name in table.skip_columns for end in ("min", "max")
        ]
        columns = pa.schema([("num_records", pa.int64()), ("size_bytes", pa.int64()), *bounds])
        return pa.Table.from_pylist([_footer_of(path, table) for path in shown(self._storage, table)], columns)


def files(storage: Storage, table: Table) -> list[Path]:
    """Return a table's commits in order.

    Raises:
        UnavailableError: the table was not made.
    """
    folder = storage.folder / table.id
    try:
        names = sorted(each.name for each in os.scandir(folder) if each.name.endswith(".parquet"))
    except FileNotFoundError as error:
        raise UnavailableError(f"table {table.id} is not in the lake at {storage}; start the streams first") from error
    return [folder / name for name in names]


def shown(storage: Storage, table: Table) -> list[Path]:
    """Return the files whose rows a table has now."""
    every = files(storage, table)
    return every[-1:] if table in CHARTS else every


def stored_schema(table: Table) -> pa.Schema:
    """Return the columns of a table's files."""
    return table.schema.append(_DELETED) if table.keeps_last else table.schema


def _check_columns(table: Table, stored: pa.Schema) -> None:
    for column in stored_schema(table):
        known = column.name in stored.names
        if (not known and not column.nullable) or (known and not stored.field(column.name).type.equals(column.type)):
            raise IntegrityError(
                f"table {table.id} cannot take column {column.name} as {column.type}: "
                "a stored column keeps its type, and a new one must be optional"
            )


def _footer_of(path: Path, table: Table) -> dict[str, Any]:
    found = path.stat()
    return _footer(str(path), found.st_size, found.st_mtime_ns, table.skip_columns)


@lru_cache(maxsize=_FOOTERS)
def _footer(path: str, size: int, _modified_ns: int, columns: tuple[str, ...]) -> dict[str, Any]:
    """What Delta's log would say of a file: rows, bytes, least and greatest values."""
    held = pq.read_metadata(path)
    said: dict[str, Any] = {"num_records": held.num_rows, "size_bytes": size}
    groups = [held.row_group(number) for number in range(held.num_row_groups) if held.row_group(number).num_rows]
    places = {held.schema.column(at).path: at for at in range(held.num_columns)}
    for name in columns:
        every = [group.column(places[name]).statistics for group in groups]
        known = [each for each in every if each is not None and each.has_min_max]
        said[f"min.{name}"] = min((each.min for each in known), default=None)
        said[f"max.{name}"] = max((each.max for each in known), default=None)
    return said


def _may_hold(said: Mapping[str, Any], holding: list[tuple[str, str, str]]) -> bool:
    """Whether a file can hold rows of which all is true."""
    if not said["num_records"]:
        return False
    for column, comparison, text in holding:
        least, greatest, value = said[f"min.{column}"], said[f"max.{column}"], datetime.fromisoformat(text)
        if least is not None and not (greatest > value if comparison == ">" else least <= value):
            return False
    return True


def _last_values(history: pa.Table, table: Table) -> pa.Table:
    """The newest row of each key, without what was deleted.

    History is in the order of its commits. A topic that was made anew counts as later, and within one a repeated batch
    may come after a later one, so its offsets decide.
    """
    topic_ids = history.column(_PLACE[0])
    ranks = pc.index_in(topic_ids, value_set=topic_ids.unique())
    order = history.select([*table.key, _PLACE[1]]).append_column("rank", ranks)
    order = order.append_column("row", pa.array(range(history.num_rows), pa.int64()))
    order = order.sort_by([("rank", "ascending"), (_PLACE[1], "ascending")])
    order = order.append_column("place", pa.array(range(history.num_rows), pa.int64()))
    last = order.group_by(list(table.key)).aggregate([("place", "max")]).column("place_max")
    newest = history.take(order.column("row").take(last))
    gone = newest.column("deleted").fill_null(fill_value=False)
    return newest.filter(pc.invert(gone)).select(table.schema.names).cast(table.schema)
