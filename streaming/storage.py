"""Where a lake lies: a folder of this machine, or a bucket of an object store, and how each library gets there.

A `Storage` is a value: it goes to Spark's tasks as it is. Its representation never holds a key.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, SubTreeFileSystem

from streaming.errors import ConfigurationError
from streaming.object_store import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

    from streaming.tables import Table

Format = Literal["delta", "parquet"]

SCHEME: Final = "s3a://"
"""How the place of a lake on an object store begins."""
STAGING: Final = "_staging"
"""Folder of files that no commit named yet, where any file in a table's own folder counts."""
_COMPRESSION: Final = "zstd"
_DIFFERING: Final = frozenset({"event_id", "kafka_offset", "timestamp", "kafka_timestamp", "value"})
"""Columns that rarely say the same twice: a dictionary of them costs time and space."""
_LOCAL: Final = LocalFileSystem()


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return how a Parquet file of these columns is written."""
    repeating = [name for name in schema.names if name not in _DIFFERING]
    return {"compression": _COMPRESSION, "compression_level": 1, "use_dictionary": repeating}


@dataclass(frozen=True)
class Storage:
    """A lake's place.

    Attributes:
        root: an absolute folder, or `s3a://bucket/prefix`.
        store: how to talk to the object store of an `s3a://` root.
        format: how its tables are kept, `delta` or `parquet`.
    """

    root: str
    store: ObjectStore | None = None
    format: Format = "delta"

    @classmethod
    def local(cls, folder: Path) -> Storage:
        """Return the place of a lake in a folder of this machine."""
        return cls(str(folder))

    def __str__(self) -> str:
        return self.root

    @property
    def folder(self) -> Path:
        """Folder of a lake on this machine.

        Raises:
            ConfigurationError: the lake lies on an object store.
        """
        if self.store is not None:
            raise ConfigurationError(f"LAKEHOUSE_PATH={self.root} is no folder of this machine; valid: a local path")
        return Path(self.root)

    def below(self, name: str) -> Storage:
        """Return a place below this one."""
        return replace(self, root=f"{self.root}/{name}")

    def staging(self, table_id: str) -> str:
        """Return the folder below the root in which a table's files wait for their commit."""
        return table_id if self.format == "delta" else f"{STAGING}/{table_id}"

    def require_delta(self, what: str) -> None:
        """Do nothing unless the tables have no log.

        Args:
            what: what needs one.

        Raises:
            ConfigurationError: they have none.
        """
        if self.format != "delta":
            raise ConfigurationError(
                f"STORAGE_FORMAT={self.format} keeps what is written as it is, so {what} is not possible; valid: "
                "delta, in another LAKEHOUSE_PATH, which the streams fill from the broker"
            )

    def uri(self, table: Table) -> str:
        """Return where a table lies, for people and for Spark."""
        return f"{self.root}/{table.id}"

    @property
    def files(self) -> FileSystem:
        """The file system, for `path`."""
        return _LOCAL if self.store is None else self.store.files()

    def path(self, name: str) -> str:
        """Return where something below the root lies in `files`.

        Args:
            name: its place below the root, such as a table's id.
        """
        return f"{self.root.removeprefix(SCHEME)}/{name}"

    def table_files(self, table: Table) -> FileSystem:
        """Return the file system of a table's folder alone."""
        # delta-rs' own file system calls back into Python from Arrow's threads: a process that ends meanwhile aborts.
        return SubTreeFileSystem(self.path(table.id), self.files)

    def is_delta(self, table: Table) -> bool:
        """Whether there is such a Delta table.

        Raises:
            UnavailableError: the object store does not answer.
            ConfigurationError: it refuses the settings.
        """
        try:
            return bool(DeltaTable.is_deltatable(self._delta_uri(table), self._options))
        except OSError:
            self.check()
            raise

    def delta(self, table: Table) -> DeltaTable:
        """Return the newest version of a Delta table that is there."""
        return DeltaTable(self._delta_uri(table), storage_options=self._options)

    def create_delta(self, table: Table, **how: Any) -> None:
        """Make an empty Delta table unless it is there.

        Args:
            table: which one.
            how: as `DeltaTable.create` takes it.
        """
        DeltaTable.create(self._delta_uri(table), table.schema, mode="ignore", storage_options=self._options, **how)

    def write_parquet(self, rows: pa.Table, name: str) -> int:
        """Write rows to a new file and return its size in bytes.

        Args:
            rows: what to write.
            name: its place below the root; the folder is there.
        """
        with self.files.open_output_stream(self.path(name)) as out:
            pq.write_table(rows, out, **parquet_options(rows.schema))
            return int(out.tell())

    def read_parquet(self, name: str, **how: Any) -> pa.Table:
        """Return the rows of a file in the order in which they were written.

        Args:
            name: its place below the root.
            how: as `pyarrow.parquet.read_table` takes it.
        """
        return pq.read_table(self.path(name), filesystem=self.files, partitioning=None, **how)

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes; None: it is not there."""
        found = self.files.get_file_info(self.path(name))
        return None if found.type == FileType.NotFound else int(found.size)

    def names(self, table: Table) -> list[str]:
        """Return the names of the data files in a table's folder, committed or not."""
        found = self.files.get_file_info(FileSelector(self.path(table.id)))
        return sorted(each.base_name for each in found if each.base_name.endswith(".parquet"))

    def delete(self, name: str) -> None:
        """Delete a file that is there."""
        self.files.delete_file(self.path(name))

    def clear(self) -> None:
        """Delete everything below the root, if there is anything."""
        if self.store is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            client = self.store.client()
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.key(""))
            for page in pages:
                keys = [{"Key": each["Key"]} for each in page.get("Contents", ())]
                if keys:
                    client.delete_objects(Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True})

    @property
    def bucket(self) -> str:
        """Name of an object store's bucket."""
        return self.root.removeprefix(SCHEME).partition("/")[0]

    def key(self, name: str) -> str:
        """Return the key in the bucket of something below the root."""
        return self.path(name).partition("/")[2]

    def check(self) -> None:
        """Make sure that the lake's place can be used: make the bucket if it is missing.

        Raises:
            UnavailableError: the object store does not answer.
            ConfigurationError: it refuses the settings.
        """
        if self.store is not None:
            self.store.check(self.bucket, self.root)

    @property
    def _options(self) -> dict[str, str] | None:
        return None if self.store is None else self.store.delta_options()

    def _delta_uri(self, table: Table) -> str:
        return self.uri(table) if self.store is None else f"s3://{self.path(table.id)}"
