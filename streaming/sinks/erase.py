"""Takes rows out of a table for good: out of its newest version, and then out of every file.

Neither the log nor the statistics ever name a person: rows go by position, as files without them in the place of files
with them, never by a predicate, because a predicate stays in the commit.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction, RemoveAction

from streaming.sinks.delta import commit_properties
from streaming.sinks.files import write_data_file
from streaming.tables import POSITION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming.ledger import Partition
    from streaming.storage import Storage
    from streaming.tables import Table

Offsets = dict["Partition", set[int]]
"""Offsets by partition."""

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def remove_positions(table: Table, storage: Storage, positions: Offsets, *, note: Mapping[str, Any]) -> int:
    """Take the rows at some positions out of a table's newest version, in one commit; return how many there were.

    Repeating it changes nothing. The files with the rows stay until `sweep`.

    Args:
        table: has position columns.
        storage: where the lake lies.
        positions: of the rows.
        note: what the commit says of itself; never a value of a row.
    """
    held = storage.delta(table)
    actions: list[AddAction | RemoveAction] = []
    removed = 0
    for name in pa.table(held.get_add_actions()).column("path").to_pylist():
        doomed = _at(storage.read_parquet(f"{table.id}/{name}", columns=POSITION.names), positions)
        if doomed.any():
            removed += int(doomed.sum())
            actions += _replaced(table, storage, name, ~doomed)
    if actions:
        held.create_write_transaction(actions, "append", table.schema, commit_properties=commit_properties(note))
    return removed


def sweep(table: Table, storage: Storage) -> list[str]:
    """Delete every file of a table that its newest version does not name; return their names.

    Nobody may stage files for the table meanwhile: the caller holds the lease and no stream runs.
    """
    held = storage.delta(table)
    if not held.vacuum(0, dry_run=True, enforce_retention_duration=False, full=True):
        return []
    return held.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)


def _replaced(table: Table, storage: Storage, name: str, keep: Mask) -> list[AddAction | RemoveAction]:
    """The file goes; one with the rows to keep comes, if there are any."""
    now = time.time_ns() // 1_000_000
    place = f"{table.id}/{name}"
    actions: list[AddAction | RemoveAction] = [
        RemoveAction(path=name, data_change=True, deletion_timestamp=now, size=storage.size(place))
    ]
    if keep.any():
        file = write_data_file(storage.read_parquet(place).filter(pa.array(keep)), table, storage)
        actions.append(file.added())
    return actions


def _at(rows: pa.Table, positions: Offsets) -> Mask:
    found = np.zeros(rows.num_rows, bool)
    topic_ids, partitions, offsets = (rows.column(name) for name in POSITION.names)
    for at, wanted in positions.items():
        here = pc.and_(pc.equal(topic_ids, at.topic_id), pc.equal(partitions, at.partition))
        hit = pc.is_in(offsets, value_set=pa.array(sorted(wanted), pa.int64()))
        found |= pc.and_(here, hit).to_numpy()
    return found
