"""Keeps the lake's tables quick to read and bounded in size: compaction, clustering, vacuum, log clean-up.

It needs no lease on the streams. Compaction rewrites only what is committed, and Delta's log refuses the later of two
commits that touch the same file; vacuum leaves everything that is younger than its retention, so a file that a batch
has staged and not committed yet is safe. Beside an erasure it would write rows again that are being removed: the two
take turns, a table at a time. A rebuild's own lake below `_rebuild/` is none of its tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from deltalake import DeltaTable

from streaming.errors import TimeoutExpiredError, UnavailableError
from streaming.jobs.lease import FILES, lease
from streaming.lake import Lake
from streaming.repair.switch import pending
from streaming.tables import tables

if TYPE_CHECKING:
    from streaming.settings import Settings
    from streaming.storage import Storage
    from streaming.tables import Table

RETENTION: Final = timedelta(days=7)
"""How long old files stay for readers of old versions, and staged files for the batch that may still commit them."""

SMALL_BYTES: Final = 16 << 20
"""A file below this counts as small."""

_TARGET_BYTES: Final = 128 << 20
_PATIENCE_SECONDS: Final = 60.0
"""For an erasure; it takes seconds on a lake of a few million rows."""

_SMALL_FILES: Final = 8
"""Fewer small files than this are not worth a commit."""


@dataclass(frozen=True, kw_only=True)
class TableCare:
    """What a round of upkeep found and did in one table.

    Attributes:
        table_id: `layer/name`.
        rows: in the newest version.
        bytes: of the newest version's files.
        files: of the newest version, before.
        small_files: of them, before.
        files_after: of the newest version, after.
        removed: files that vacuum took away.
        version: newest commit.
    """

    table_id: str
    rows: int
    bytes: int
    files: int
    small_files: int
    files_after: int
    removed: int
    version: int


def look(lake: Lake, table: Table) -> TableCare:
    """Return what there is of a table without changing it."""
    held = lake.open(table)
    sizes = _sizes(held)
    count = len(sizes)
    return TableCare(
        table_id=table.id,
        rows=lake.count(table),
        bytes=sum(sizes),
        files=count,
        small_files=sum(size < SMALL_BYTES for size in sizes),
        files_after=count,
        removed=0,
        version=held.version(),
    )


def tend(lake: Lake, table: Table, *, retention: timedelta = RETENTION) -> TableCare:
    """Compact a table where it has many small files, and remove what no version within the retention names.

    Args:
        lake: the lake.
        table: which one.
        retention: age below which no file is removed.
    """
    lake.storage.require_delta("upkeep")
    before = look(lake, table)
    held = lake.open(table)
    if before.small_files >= _SMALL_FILES:
        _compact(held, table)
    removed = _vacuum(held, retention)
    held.create_checkpoint()
    held.cleanup_metadata()
    after = look(lake, table)
    return TableCare(
        table_id=table.id,
        rows=after.rows,
        bytes=after.bytes,
        files=before.files,
        small_files=before.small_files,
        files_after=after.files,
        removed=removed,
        version=after.version,
    )


def tend_all(settings: Settings, *, retention: timedelta = RETENTION) -> list[TableCare]:
    """Tend every table that is there.

    Raises:
        ConfigurationError: the lake's tables have no log.
        UnavailableError: an erasure or a rebuild goes on, or one was killed in the middle of its switch.
    """
    if pending(settings):
        # The files of a switch are named by its journal alone: in a week they would count as nobody's.
        raise UnavailableError(
            "a rebuild of silver was killed in the middle of its switch; start the streams, which finish it, and then "
            "upkeep again"
        )
    lake = Lake(settings.storage)
    return [_in_turn(settings, lake, table, retention) for table in tables().values() if lake.exists(table)]


def _in_turn(settings: Settings, lake: Lake, table: Table, retention: timedelta) -> TableCare:
    try:
        with lease(settings, FILES, spark=None, timeout=_PATIENCE_SECONDS):
            return tend(lake, table, retention=retention)
    except TimeoutExpiredError as error:
        raise UnavailableError(f"an erasure or a rebuild goes on; run upkeep again after it ({error})") from error


def _compact(held: DeltaTable, table: Table) -> None:
    # Charts and late looks ask for a stretch of time: rows that happened together lie together.
    if "timestamp" in table.skip_columns:
        held.optimize.z_order(["timestamp"], target_size=_TARGET_BYTES)
    else:
        held.optimize.compact(target_size=_TARGET_BYTES)


def _vacuum(held: DeltaTable, retention: timedelta) -> int:
    hours = int(retention.total_seconds() // 3600)
    removed = held.vacuum(retention_hours=hours, dry_run=False, enforce_retention_duration=False, full=True)
    return len(removed)


def _sizes(held: DeltaTable) -> list[int]:
    actions = pa.table(held.get_add_actions(flatten=True))
    return [int(size) for size in actions.column("size_bytes").to_pylist()]


def orphans(table: Table, storage: Storage) -> list[str]:
    """Return the data files in the table's folder that its newest version does not name: old and staged ones."""
    actions = pa.table(storage.delta(table).get_add_actions())
    named = {str(path) for path in actions.column("path").to_pylist()}
    return [name for name in storage.names(table) if name not in named]
