"""Every write to the lake's tables; each can be repeated and leaves the same rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from deltalake import CommitProperties, Transaction, write_deltalake
from deltalake.transaction import AddAction, RemoveAction

from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from deltalake import DeltaTable

    from streaming.sinks.files import DataFile
    from streaming.storage import Storage
    from streaming.tables import Table

_LATER: Final = "new.kafka_topic_id <> held.kafka_topic_id OR new.kafka_offset > held.kafka_offset"


@dataclass(frozen=True, kw_only=True)
class Write:
    """Identity of a commit: what the writer last saw in the table, and what it leaves there.

    Delta keeps a version for each app id. A writer that finds another one than it left is not alone, or is a replay
    of what was done already, and must not write.

    Attributes:
        expected: by app id, the version that the table must hold; None where it holds none.
        leaves: by app id, the version that it holds afterwards.
        note: what the commit says of itself, such as the end offsets; never a value of a row.
    """

    expected: Mapping[str, int | None]
    leaves: Mapping[str, int]
    note: Mapping[str, Any]


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
