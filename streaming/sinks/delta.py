"""Every write to the lake's tables; each can be repeated and leaves the same rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from streaming.tables import Table

_ROWS_PER_FILE: Final = 250_000


@dataclass(frozen=True, kw_only=True)
class Write:
    """Identity of a write: Delta drops one whose app id it has seen with this version or a higher one.

    Attributes:
        app_id: of the query's checkpoint; a new checkpoint counts from 0 again and needs another one.
        version: number of the batch.
        note: what the commit says of itself, such as the end offsets; never a value of a row.
    """

    app_id: str
    version: int
    note: Mapping[str, Any]


def append(frame: DataFrame, table: Table, root: Path, *, write: Write, rows: int) -> None:
    """Append rows in one commit.

    Args:
        frame: has at least the table's columns.
        table: where to.
        root: of the lake.
        write: identity, for repetition.
        rows: how many there are, which decides the number of files.
    """
    files = max(1, rows // _ROWS_PER_FILE)
    (
        frame.select(*table.schema.names)
        .coalesce(files)
        .write.format("delta")
        .mode("append")
        .option("txnAppId", f"{write.app_id}/{table.id}")
        .option("txnVersion", write.version)
        .option("userMetadata", json.dumps(write.note))
        .save(str(table.path(root)))
    )


def upsert(frame: DataFrame, table: Table, root: Path) -> None:
    """Make the table hold the last value of each key: rows marked `deleted` go, the others come or change.

    Repeating it changes nothing: a row moves only to a later position, or to another topic's.

    Args:
        frame: the table's columns and `deleted`; one row per key.
        table: where to.
        root: of the lake.
    """
    from delta.tables import DeltaTable as SparkDeltaTable

    match = " AND ".join(f"held.{name} = new.{name}" for name in table.key)
    later = "new.kafka_topic_id <> held.kafka_topic_id OR new.kafka_offset > held.kafka_offset"
    values = {name: f"new.{name}" for name in table.schema.names}
    (
        SparkDeltaTable.forPath(frame.sparkSession, str(table.path(root)))
        .alias("held")
        .merge(frame.coalesce(1).alias("new"), match)
        .whenMatchedDelete(f"new.deleted AND ({later})")
        .whenMatchedUpdate(later, values)  # type: ignore[arg-type]
        .whenNotMatchedInsert("NOT new.deleted", values)  # type: ignore[arg-type]
        .execute()
    )


def overwrite(frame: DataFrame, table: Table, root: Path, *, note: Mapping[str, Any]) -> None:
    """Replace the table's rows in one commit; the versions before stay readable."""
    (
        frame.select(*table.schema.names)
        .coalesce(1)
        .write.format("delta")
        .mode("overwrite")
        .option("userMetadata", json.dumps(note))
        .save(str(table.path(root)))
    )


def append_arrow(rows: pa.Table, table: Table, root: Path, *, write: Write) -> None:
    """Append rows that the driver holds: a Spark commit costs a CPU-second, this one a twentieth.

    Raises:
        IntegrityError: this write, or a later one of the same app id, is there already.
    """
    app_id = f"{write.app_id}/{table.id}"
    held = DeltaTable(str(table.path(root)))
    seen = held.transaction_version(app_id)
    if seen is not None and seen >= write.version:
        raise IntegrityError(f"{table.id} already holds batch {seen} of this query; does a second one run?")
    write_deltalake(
        held,
        rows.select(table.schema.names).cast(table.schema),
        mode="append",
        commit_properties=CommitProperties(
            custom_metadata={"userMetadata": json.dumps(write.note)},
            app_transactions=[Transaction(app_id, write.version)],
        ),
    )
