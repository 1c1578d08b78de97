"""Takes files in: to disk in pieces, into `source.imports` with the listener's id; who works on them is not here."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import time
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from fastapi import HTTPException

from music_assets.sources import import_table
from music_assets.sources.import_table import Import
from music_assets.sources.imports import connect, upload_path
from serving.imports.schemas import Kind
from serving.zones import wanted_zone
from streaming.errors import ConfigurationError, ContractError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path
    from typing import TypeVar

    import psycopg

    from serving.identity.service import Identity
    from serving.settings import Settings

    T = TypeVar("T")

_MIB: Final = 1 << 20
_RESERVE: Final = 256 * _MIB
"""Room on the disk that no upload may take: the spool and the lake need it."""

_PIECE: Final = _MIB
_PARTIAL: Final = ".part"
_OLD_SECONDS: Final = 86_400


class Imports:
    """Uploads and what became of them."""

    def __init__(self, settings: Settings, identity: Identity) -> None:
        self._settings = settings
        self._identity = identity
        self._limit = settings.import_limit_mb * _MIB

    async def take(
        self, body: AsyncIterator[bytes], *, size: int | None, kind: Kind, user_id: str | None, name: str, zone: str
    ) -> tuple[Import, bool]:
        """Keep a file and queue it; return the import and whether there is something to do.

        The same file of the same user again is the same import: one that is done stays done, another one is queued.

        Args:
            body: the file.
            size: its bytes, if the client said so.
            kind: what it holds.
            user_id: whose plays they are; none for tables of tracks.
            name: of the file.
            zone: of times without one.

        Raises:
            ContractError: a parameter is wrong.
            HTTPException: the file is empty, too large, or does not fit on the disk.
            UnavailableError: PostgreSQL does not answer.
        """
        listener_id = await self._listener(kind, user_id)
        wanted_zone(zone)
        root = self._settings.upload_root
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        self._check_size(size or 0)
        partial = root / f"{uuid4()}{_PARTIAL}"
        try:
            digest = await self._write(body, partial)
            return await self._in_database(
                lambda connection: self._queue(connection, partial, kind, name, digest, listener_id, zone)
            )
        finally:
            partial.unlink(missing_ok=True)

    async def get(self, import_id: UUID) -> Import:
        """Return an import.

        Raises:
            HTTPException: there is none of this id.
            UnavailableError: PostgreSQL does not answer.
        """
        try:
            return await self._in_database(lambda connection: import_table.get(connection, import_id))
        except ConfigurationError as error:
            raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error

    async def get_for(self, user_id: str | None, import_id: UUID) -> Import:
        """Return an import, if a person is given only one of theirs.

        Raises:
            HTTPException: there is none of this id, or it is another person's, which looks the same.
            UnavailableError: PostgreSQL does not answer.
        """
        found = await self.get(import_id)
        if user_id is None:
            return found
        resolved = await self._identity.resolve([user_id], create=False)
        if not resolved.complete:
            raise UnavailableError("the store of identities does not answer; try again later")
        if found.listener_id is None or resolved.listeners.get(user_id) != found.listener_id:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no import {import_id}")
        return found

    async def resume(self, import_id: UUID) -> Import:
        """Queue an import that failed, or whose process was killed; one that waits or is done stays as it is.

        Raises:
            HTTPException: there is none of this id, or its file is not here.
            UnavailableError: PostgreSQL does not answer.
        """
        found = await self.get(import_id)
        if found.status != "failed":
            return found
        if not upload_path(self._settings, found).exists():
            raise HTTPException(HTTPStatus.CONFLICT, "the file of this import is not here: send it again")
        await self._in_database(lambda connection: import_table.set_status(connection, import_id, "queued"))
        return await self.get(import_id)

    async def _listener(self, kind: Kind, user_id: str | None) -> str | None:
        if kind is Kind.KAGGLE_TRACKS:
            return None
        if user_id is None:
            raise ContractError("missing_field", "user_id", f"user_id is missing: a file of kind {kind} is somebody's")
        found = await self._identity.resolve([user_id], create=True)
        if user_id in found.listeners:
            return found.listeners[user_id]
        if found.complete:
            raise HTTPException(
                HTTPStatus.CONFLICT, "this user was erased or has paused: nothing of theirs is taken in"
            )
        raise UnavailableError("the store of identities does not answer; try again later")

    async def _write(self, body: AsyncIterator[bytes], partial: Path) -> str:
        """Write a body to disk in pieces, durably, and return its digest."""
        digest, written, waiting = hashlib.sha256(), 0, bytearray()
        with _disk(), partial.open("xb") as file:

            def put(piece: bytes) -> None:
                digest.update(piece)
                file.write(piece)

            async for chunk in body:
                written += len(chunk)
                waiting += chunk
                if len(waiting) >= _PIECE:
                    self._check_size(written, left=len(waiting))
                    await asyncio.to_thread(put, bytes(waiting))
                    waiting.clear()
            self._check_size(written, left=len(waiting))
            put(bytes(waiting))
            await asyncio.to_thread(_make_durable, file)
        if not written:
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is empty: send the file as the body")
        return digest.hexdigest()

    def _check_size(self, size: int, *, left: int | None = None) -> None:
        """Check that a file of `size` bytes may come, and that what is left of it to write fits on the disk."""
        if size > self._limit:
            limit = self._settings.import_limit_mb
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the file must have at most {limit} MiB (IMPORT_LIMIT_MB)"
            )
        if shutil.disk_usage(self._settings.upload_root).free < _RESERVE + (size if left is None else left):
            raise HTTPException(HTTPStatus.INSUFFICIENT_STORAGE, "there is no room for the file on the API's disk")

    def _queue(
        self,
        connection: psycopg.Connection[Any],
        partial: Path,
        kind: Kind,
        name: str,
        digest: str,
        listener_id: str | None,
        zone: str,
    ) -> tuple[Import, bool]:
        # Failed first: a row that is queued has its file, else it would wait for ever for one that never came.
        found, _ = import_table.register(
            connection, kind=kind.value, file_name=name, sha256=digest, listener_id=listener_id, time_zone=zone,
            status="failed",
        )  # fmt: skip
        if found.status == "done":
            return found, False
        partial.replace(upload_path(self._settings, found))
        if found.status == "failed":
            import_table.set_status(connection, found.import_id, "queued")
        return import_table.get(connection, found.import_id), True

    async def _in_database(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        def connected() -> T:
            with connect(self._settings) as connection:
                return work(connection)

        return await asyncio.to_thread(connected)


def _sweep(root: Path) -> None:
    """Remove what uploads left behind whose process was killed."""
    for partial in root.glob(f"*{_PARTIAL}"):
        with suppress(FileNotFoundError):
            if time.time() - partial.stat().st_mtime > _OLD_SECONDS:
                partial.unlink()


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            message = "there is no room for the file on the API's disk"
            raise HTTPException(HTTPStatus.INSUFFICIENT_STORAGE, message) from error
        raise


def _make_durable(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
