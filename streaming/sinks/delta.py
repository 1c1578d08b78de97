"""Writes of `STORAGE_FORMAT=delta`: a commit is an entry of the table's log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

from deltalake import CommitProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from streaming.errors import IntegrityError, UnavailableError
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
    """Make files that lie in the table's folder part of it, in one commit.

    Raises:
        IntegrityError: another writer was here.
    """
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
    """Append rows in one commit.

    Raises:
        IntegrityError: another writer was here.
    """
    held = storage.delta(table)
    content = rows.select(table.schema.names).cast(table.schema)
    write_deltalake(held, content, mode="append", commit_properties=_fenced(held, table, write))


def _fenced(held: DeltaTable, table: Table, write: Write) -> CommitProperties:
    for app_id, version in write.expected.items():
        seen = held.transaction_version(app_id)
        if seen != version:
            raise IntegrityError(
                f"{table.id} stands at {seen} for {app_id}, not at {version}; does a second one write?"
            )
    return CommitProperties(
        custom_metadata={"userMetadata": json.dumps(write.note)},
        app_transactions=[Transaction(app_id, version) for app_id, version in write.leaves.items()],
    )


def upsert(records: pa.Table, table: Table, storage: Storage, *, note: Mapping[str, Any]) -> None:
    """Make the table hold the last value of each key: rows marked `deleted` go, the others come or change.

    Repeating it changes nothing: a row moves only to a later position, or to another topic's.

    Args:
        records: the table's columns and `deleted`; one row per key.
        table: where to.
        storage: where the lake lies.
        note: what the commit says of itself.
    """
    match = " AND ".join(f"held.{name} = new.{name}" for name in table.key)
    values = {name: f"new.{name}" for name in table.schema.names}
    (
        storage.delta(table)
        .merge(
            records,
            match,
            source_alias="new",
            target_alias="held",
            commit_properties=CommitProperties(custom_metadata={"userMetadata": json.dumps(note)}),
        )
        .when_matched_delete(f"new.deleted AND ({_LATER})")
        .when_matched_update(values, _LATER)
        .when_not_matched_insert(values, "NOT new.deleted")
        .execute()
    )


def replace(chart: pa.Table, table: Table, storage: Storage, *, note: Mapping[str, Any]) -> None:
    """Make a chart the table's only rows, in one commit; the versions before stay readable."""
    write_deltalake(storage.delta(table), _shaped(chart, table), mode="overwrite", commit_properties=_properties(note))


def replace_ticks(
    charts: pa.Table, storage: Storage, *, window: str, ticks: Sequence[datetime], note: Mapping[str, Any]
) -> None:
    """Make some charts of a window the history's only ones of their ticks, in one commit.

    A backfill and the service may write at once: the one whose ticks the other touched reads again and repeats.

    Args:
        charts: rows of the history, of these ticks only.
        storage: where the lake lies.
        window: name of the window.
        ticks: ends of the charts; one without a row becomes an empty chart.
        note: what the commit says of itself.

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
                commit_properties=_properties(note),
            )
        except CommitFailedError as error:
            failure = error
        else:
            return
    raise UnavailableError(f"{TRENDING_HISTORY.id} is written by others all the time: {failure}") from failure


def _shaped(rows: pa.Table, table: Table) -> pa.Table:
    return rows.select(table.schema.names).cast(table.schema)


def _properties(note: Mapping[str, Any]) -> CommitProperties:
    return CommitProperties(custom_metadata={"userMetadata": json.dumps(note)})
