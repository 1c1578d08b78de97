"""Writes of `STORAGE_FORMAT=delta`: a commit is an entry of the table's log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

from deltalake import CommitProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from streaming.errors import UnavailableError
from streaming.tables import TRENDING_HISTORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    from deltalake import DeltaTable

    from streaming.sinks.files import DataFile
    from streaming.sinks.tables import Write
    from streaming.storage import Storage
    from streaming.tables import Table

_LATER: Final = "new.kafka_topic_id <> held.kafka_topic_id OR new.kafka_offset > held.kafka_offset"
_ATTEMPTS: Final = 20
"""Times that a commit is repeated which others get in the way of."""


def commit_files(files: Sequence[DataFile], table: Table, storage: Storage, *, write: Write) -> None:
    """See `streaming.sinks.tables`."""
    _commit(files, table, storage, write=write, mode="append")


def replace_files(files: Sequence[DataFile], table: Table, storage: Storage, *, write: Write) -> None:
    """Make files that lie in the table's folder all that it holds, in one commit; older versions stay readable.

    Raises:
        IntegrityError: another writer was here.
    """
    _commit(files, table, storage, write=write, mode="overwrite")


def _commit(
    files: Sequence[DataFile], table: Table, storage: Storage, *, write: Write, mode: Literal["append", "overwrite"]
) -> None:
    held = storage.delta(table)
    actions: list[AddAction | RemoveAction] = [file.added() for file in files]
    held.create_write_transaction(actions, mode, table.schema, commit_properties=_fenced(held, table, write))


def append_arrow(rows: pa.Table, table: Table, storage: Storage, *, write: Write) -> None:
    """See `streaming.sinks.tables`."""
    held = storage.delta(table)
    write_deltalake(held, _shaped(rows, table), mode="append", commit_properties=_fenced(held, table, write))


def _fenced(held: DeltaTable, table: Table, write: Write) -> CommitProperties:
    write.check(table, {app_id: held.transaction_version(app_id) for app_id in write.expected})
    return commit_properties(write.note, write.leaves)


def upsert(records: pa.Table, table: Table, storage: Storage, *, note: Mapping[str, Any]) -> None:
    """See `streaming.sinks.tables`."""
    match = " AND ".join(f"held.{name} = new.{name}" for name in table.key)
    values = {name: f"new.{name}" for name in table.schema.names}
    (
        storage.delta(table)
        .merge(
            records,
            match,
            source_alias="new",
            target_alias="held",
            commit_properties=commit_properties(note),
        )
        .when_matched_delete(f"new.deleted AND ({_LATER})")
        .when_matched_update(values, _LATER)
        .when_not_matched_insert(values, "NOT new.deleted")
        .execute()
    )


def replace(chart: pa.Table, table: Table, storage: Storage, *, note: Mapping[str, Any]) -> None:
    """See `streaming.sinks.tables`; the versions before stay readable."""
    held = storage.delta(table)
    write_deltalake(held, _shaped(chart, table), mode="overwrite", commit_properties=commit_properties(note))


def replace_ticks(
    charts: pa.Table, storage: Storage, *, window: str, ticks: Sequence[datetime], note: Mapping[str, Any]
) -> None:
    """See `streaming.sinks.tables`.

    Raises:
        UnavailableError: others kept writing the same ticks.
    """
    moments = ", ".join(f"'{tick.isoformat()}'" for tick in ticks)
    failure: CommitFailedError | None = None
    for _ in range(_ATTEMPTS):
        try:
            write_deltalake(
                storage.delta(TRENDING_HISTORY),
                _shaped(charts, TRENDING_HISTORY),
                mode="overwrite",
                predicate=f"\"window\" = '{window}' and as_of in ({moments})",
                commit_properties=commit_properties(note),
            )
        except CommitFailedError as error:
            failure = error
        else:
            return
    raise UnavailableError(f"{TRENDING_HISTORY.id} is written by others all the time: {failure}") from failure


def _shaped(rows: pa.Table, table: Table) -> pa.Table:
    return rows.select(table.schema.names).cast(table.schema)


def commit_properties(note: Mapping[str, Any], leaves: Mapping[str, int] | None = None) -> CommitProperties:
    """Return what a commit says of itself and, by app id, the versions that it leaves."""
    return CommitProperties(
        custom_metadata={"userMetadata": json.dumps(note)},
        app_transactions=[Transaction(app_id, version) for app_id, version in (leaves or {}).items()],
    )
