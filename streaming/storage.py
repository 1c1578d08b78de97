"""Where a lake lies: a folder of this machine, or a bucket of an object store, and how each library gets there.

A `Storage` is a value: it goes to Spark's tasks as it is. Its representation never holds a key.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, SubTreeFileSystem

from streaming.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa

    from streaming.tables import Table

SCHEME: Final = "s3a://"
"""How the place of a lake on an object store begins."""
_REGION: Final = "us-east-1"
"""What a server that knows no regions is asked in; one that does answers with its own."""
_SECONDS: Final = 10
"""A store that is there connects, and begins to answer, within this."""
_COMPRESSION: Final = "zstd"
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = (401, 403, _NOT_FOUND)
"""Some servers do not find a key that they do not know."""


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """How to talk to an object store; what is None, the libraries look for as AWS says.

    Attributes:
        endpoint: its address, `http://` or `https://`; None: AWS itself.
        access_key: id of the key.
        secret_key: its secret.
    """

    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)

    def delta_options(self) -> dict[str, str]:
        """Return the options of delta-rs: a commit is put only if its number is free, so one of two writers wins."""
        chosen = {
            "aws_endpoint_url": self.endpoint,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "aws_region": _REGION if self.endpoint else None,
            "aws_allow_http": "true" if self._plain else None,
            "conditional_put": "etag",
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def hadoop_options(self) -> dict[str, str]:
        """Return the options of Hadoop's s3a."""
        chosen = {
            "fs.s3a.endpoint": self.endpoint,
            "fs.s3a.endpoint.region": _REGION if self.endpoint else None,
            "fs.s3a.access.key": self.access_key,
            "fs.s3a.secret.key": self.secret_key,
            "fs.s3a.path.style.access": "true" if self.endpoint else None,
            "fs.s3a.connection.ssl.enabled": "false" if self._plain else None,
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def client(self) -> Any:
        """Return a boto3 client, for what the file systems cannot do: conditional writes and buckets."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=_REGION if self.endpoint else None,
            config=Config(retries={"total_max_attempts": 2}, connect_timeout=_SECONDS, read_timeout=_SECONDS),
        )

    @property
    def _plain(self) -> bool:
        return bool(self.endpoint and self.endpoint.startswith("http://"))


@cache
def _files(store: ObjectStore | None) -> FileSystem:
    if store is None:
        return LocalFileSystem()
    from pyarrow.fs import S3FileSystem

    chosen = {
        "endpoint_override": store.endpoint,
        "access_key": store.access_key,
        "secret_key": store.secret_key,
        "region": _REGION if store.endpoint else None,
    }
    return S3FileSystem(
        **{name: value for name, value in chosen.items() if value is not None},
        connect_timeout=_SECONDS,
        request_timeout=_SECONDS,
    )


@dataclass(frozen=True)
class Storage:
    """A lake's place.

    Attributes:
        root: an absolute folder, or `s3a://bucket/prefix`.
        store: how to talk to the object store of an `s3a://` root.
    """

    root: str
    store: ObjectStore | None = None

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

    def uri(self, table: Table) -> str:
        """Return where a table lies, for people and for Spark."""
        return f"{self.root}/{table.id}"

    @property
    def files(self) -> FileSystem:
        """The file system, for `path`."""
        return _files(self.store)

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
            pq.write_table(rows, out, compression=_COMPRESSION, compression_level=1)
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
        if self.store is None:
            return
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        client = self.store.client()
        try:
            try:
                client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != _NOT_FOUND:
                    raise
                client.create_bucket(Bucket=self.bucket)
        except ClientError as error:
            raise ConfigurationError(self._refused(error.response["ResponseMetadata"]["HTTPStatusCode"])) from error
        except NoCredentialsError as error:
            raise ConfigurationError("S3_ACCESS_KEY and S3_SECRET_KEY are empty and AWS knows no others") from error
        except (BotoCoreError, ValueError) as error:
            raise UnavailableError(
                f"the object store does not answer at S3_ENDPOINT={self.store.endpoint or 'AWS'}; start it, or set the "
                "address"
            ) from error

    def _refused(self, status: int) -> str:
        at = f"the object store at S3_ENDPOINT={self.store.endpoint or 'AWS' if self.store else ''}"
        if status in _FORBIDDEN:
            return f"{at} refuses S3_ACCESS_KEY and S3_SECRET_KEY for the bucket of LAKEHOUSE_PATH={self.root}"
        return f"{at} answers {status} for the bucket of LAKEHOUSE_PATH={self.root}; valid: s3a://bucket/prefix"

    @property
    def _options(self) -> dict[str, str] | None:
        return None if self.store is None else self.store.delta_options()

    def _delta_uri(self, table: Table) -> str:
        return self.uri(table) if self.store is None else f"s3://{self.path(table.id)}"
