"""From the old tables to the new ones: a journal first, then a commit per table, and the claims last.

The new rows are written to data files beside the old ones, which no commit names; then the journal names them. From
there on the switch is decided: whoever holds the lease next finishes it before anything else (`finish`), so a kill
leaves the old tables (no journal) or the new ones (a journal, and the rest is done at the next start). A table's own
fence says whether its commit was made. The claim index goes first and comes back last; between, it is read from
silver, whatever silver then is.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow as pa
import structlog

from streaming.errors import IntegrityError
from streaming.jobs.intake import NAME
from streaming.lake import Lake
from streaming.sinks.delta import replace_files
from streaming.sinks.files import DataFile, write_data_file
from streaming.sinks.tables import Write
from streaming.tables import ERASED, LEDGER, Table, tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streaming.settings import Settings

_ROWS_PER_FILE: Final = 250_000
_JOURNAL: Final = "switch.json"

log = structlog.get_logger()


class _Turn(msgspec.Struct, frozen=True):
    """One table's commit.

    Attributes:
        table_id: which.
        held: the fence's count before it.
        leaves: the count after it.
        files: all that the table then holds.
    """

    table_id: str
    held: int | None
    leaves: int
    files: list[DataFile]


class _Journal(msgspec.Struct, frozen=True):
    rebuild_id: str
    turns: list[_Turn]


def staged(settings: Settings) -> Settings:
    """Return settings of where a rebuild works: a lake beside the lake's tables, which no reader looks into."""
    return settings.model_copy(update={"lakehouse_path": settings.storage.below("_rebuild/silver").root})


def discard(settings: Settings) -> None:
    """Delete what a rebuild made and did not switch to."""
    there = staged(settings)
    shutil.rmtree(there.checkpoint_root, ignore_errors=True)
    there.storage.clear()


def switch(settings: Settings, rebuild_id: str) -> None:
    """Make the tables of the `staged` lake the lake's own. The caller holds the lease.

    Args:
        settings: where things are.
        rebuild_id: names the rebuild in the commits.
    """
    new = Lake(staged(settings).storage)
    turns = [_turn(settings, new, table) for table in switched_tables()]
    journal = _Journal(rebuild_id=rebuild_id, turns=turns)
    _write(_journal_file(settings), msgspec.json.encode(journal))
    finish(settings)


def switched_tables() -> list[Table]:
    """Return the tables that a rebuild of silver replaces: the ledger last, as after every batch."""
    every = [table for table in tables().values() if table.layer in {"silver", "deadletter"}]
    return [*every, ERASED, LEDGER]


def finish(settings: Settings) -> bool:
    """Finish a switch that was interrupted; return whether there was one. The caller holds the lease.

    Raises:
        IntegrityError: somebody wrote to a table in between, which nobody may.
    """
    if not pending(settings):
        return False
    file = _journal_file(settings)
    journal = msgspec.json.decode(file.read_bytes(), type=_Journal)
    claims, fresh = _claims(settings), _claims(staged(settings))
    if fresh.exists():
        shutil.rmtree(claims, ignore_errors=True)
    for turn in journal.turns:
        _take(settings, turn, journal.rebuild_id)
    if fresh.exists():
        claims.parent.mkdir(parents=True, exist_ok=True)
        fresh.replace(claims)
    file.unlink()
    discard(settings)
    log.info("rebuild_switched", rebuild_id=journal.rebuild_id)
    return True


def pending(settings: Settings) -> bool:
    """Whether a switch was interrupted and nobody finished it yet."""
    return _journal_file(settings).exists()


def settle(settings: Settings) -> None:
    """Finish a switch that was interrupted, or throw away what a rebuild left that never came to it.

    The caller holds the lease, so no rebuild goes on.

    Raises:
        IntegrityError: as `finish`.
    """
    if not finish(settings):
        discard(settings)


def _claims(settings: Settings) -> Path:
    return settings.checkpoint_root / NAME / "claims"


def _journal_file(settings: Settings) -> Path:
    return staged(settings).checkpoint_root / _JOURNAL


def _turn(settings: Settings, new: Lake, table: Table) -> _Turn:
    held = Lake(settings.storage).marks(table, [NAME])[NAME]
    staged = new.marks(table, [NAME])[NAME]
    # Batch numbers go on from this count, so it must pass those of both.
    leaves = max(held or 0, staged or 0) + 1
    return _Turn(table_id=table.id, held=held, leaves=leaves, files=list(_files(settings, new, table)))


def _files(settings: Settings, new: Lake, table: Table) -> Iterator[DataFile]:
    """Write the table's new rows to files of a good size in the folder of the old one."""
    waiting: list[pa.RecordBatch] = []
    dataset = new.dataset(table)
    for batch in dataset.to_batches(batch_size=20_000, batch_readahead=2, fragment_readahead=1):
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= _ROWS_PER_FILE:
            yield write_data_file(pa.Table.from_batches(waiting), table, settings.storage)
            waiting = []
    if rows := sum(each.num_rows for each in waiting):
        log.debug("rebuild_file", table=table.id, rows=rows)
        yield write_data_file(pa.Table.from_batches(waiting), table, settings.storage)


def _take(settings: Settings, turn: _Turn, rebuild_id: str) -> None:
    table = tables()[turn.table_id]
    storage = settings.storage
    seen = Lake(storage).marks(table, [NAME])[NAME]
    if seen == turn.leaves:
        return
    if seen != turn.held:
        raise IntegrityError(
            f"{table.id} stands at {seen}, not at {turn.held}, where the rebuild {rebuild_id} found it"
        )
    missing = {file.name for file in turn.files} - {*storage.names(table)}
    if missing:
        raise IntegrityError(
            f"{len(missing)} files of the rebuild {rebuild_id} are no longer in {storage.uri(table)}; the old rows of "
            "the table are still its own: restore the files, or remove the journal and rebuild once more"
        )
    write = Write(expected={NAME: turn.held}, leaves={NAME: turn.leaves}, note={"query": "rebuild", "id": rebuild_id})
    replace_files(turn.files, table, storage, write=write)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
