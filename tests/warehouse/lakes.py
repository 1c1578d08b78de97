"""Writes small silver tables as the streams leave them: columns that a row does not name get plain values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import write_deltalake

from streaming.lake import Lake
from streaming.tables import Table, silver

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    Row = dict[str, Any]

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)

_DEFAULTS: dict[str, Any] = {
    "user_id": "u1", "item_id": "track:1", "timestamp": NOON, "schema_version": 1, "kafka_topic_id": "topic-a",
    "kafka_partition": 0, "ingested_at": NOON, "event_type": "listen", "rating": None, "name": "a name",
    "model_version": "v1", "rung": "personal", "item_ids": ["track:1"], "sources": ["als"], "reasons": ["because"],
}  # fmt: skip


def arrow(table: Table, rows: Iterable[Row]) -> pa.Table:
    """Return rows as an Arrow table: offsets count up, the event_id is the offset's."""
    full = [
        {**_DEFAULTS, "kafka_offset": offset, "event_id": f"e{row.get('kafka_offset', offset)}", **row}
        for offset, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in table.schema.names} for row in full], schema=table.schema
    )


def write(lake: Lake, name: str, *rows: Row, mode: Literal["append", "overwrite"] = "append") -> Table:
    """Write rows into a silver table, making it first as the lake does."""
    table = silver(name)
    lake.create(table)
    write_deltalake(str(lake.storage.folder / table.id), arrow(table, rows), mode=mode)
    return table
