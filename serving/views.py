"""Small lake tables held in memory and renewed when their version changes, off the way of the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog
from deltalake.exceptions import DeltaError

from serving.dependency import Dependency
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa

    from streaming.lake import Lake
    from streaming.tables import Table

T = TypeVar("T")

_SECONDS = 30.0
"""Budget of a reading: it runs beside the requests, so it only must not hang."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class Source:
    """A table and the columns that a view needs."""

    table: Table
    columns: tuple[str, ...]


class View(Generic[T]):
    """What was made of some tables' newest versions; a table that is not there yet counts as empty.

    Args:
        lake: where the tables are.
        sources: the tables.
        build: makes the value from the tables' rows, in the order of the sources.
        empty: the value before the first reading.
    """

    def __init__(
        self, lake: Lake, sources: Sequence[Source], *, build: Callable[[list[pa.Table]], T], empty: T
    ) -> None:
        self.value = empty
        self.read_at: datetime | None = None
        self.dependency = Dependency("lake")
        self._lake = lake
        self._sources = sources
        self._build = build
        self._versions: list[int | None] = [None] * len(sources)

    async def watch(self, every_seconds: float) -> None:
        """Follow the tables, for ever; a failed reading keeps the value as it was."""
        while True:
            await self.refresh()
            await asyncio.sleep(every_seconds)

    async def refresh(self) -> None:
        """Read the tables again if one of them has a new version."""
        try:
            async with self.dependency.call(_SECONDS, check=True):
                await asyncio.to_thread(self._refresh)
            self.read_at = datetime.now(UTC)
        except UnavailableError as error:
            _log.warning("lake not read", error=str(error))

    def _refresh(self) -> None:
        try:
            versions = [
                self._lake.version(source.table) if self._lake.exists(source.table) else None
                for source in self._sources
            ]
            if versions == self._versions:
                return
            tables = [self._rows(source, version) for source, version in zip(self._sources, versions, strict=True)]
        except (DeltaError, UnavailableError) as error:
            raise OSError(str(error)) from error
        self.value = self._build(tables)
        self._versions = versions

    def _rows(self, source: Source, version: int | None) -> pa.Table:
        if version is None:
            return source.table.schema.empty_table().select(list(source.columns))
        return self._lake.read(source.table, list(source.columns))
