"""The lake is readable without a JVM, and its tables are what the registry says."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from streaming.errors import IntegrityError, UnavailableError
from streaming.lake import Lake
from streaming.sinks.delta import Write, append_arrow
from streaming.tables import TRENDING_1H, silver, tables

if TYPE_CHECKING:
    from pathlib import Path


def test_tables_are_made_once_with_their_schema_and_properties(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with pytest.raises(UnavailableError, match="silver/events_views"):
        lake.read(silver("events_views"))
    for _ in range(2):
        lake.create_all()
    for table in tables().values():
        held = DeltaTable(str(tmp_path / table.id))
        assert held.version() == 0
        assert pa.schema(held.schema().to_arrow()).equals(table.schema, check_metadata=False), table.id
        assert held.metadata().configuration["delta.dataSkippingStatsColumns"] == ",".join(table.skip_columns)
        assert not set(table.skip_columns) & {"user_id", "event_id", "key", "value", "context", "recommendation_id"}


def test_a_new_optional_column_is_added_and_old_rows_stay(tmp_path: Path) -> None:
    lake, table = Lake(tmp_path), tables()["deadletter/events_views"]
    old = dataclasses.replace(table, schema=pa.schema([field for field in table.schema if field.name != "field"]))
    row = {"kafka_topic_id": "T", "kafka_partition": 0, "kafka_timestamp": 0, "reason": "r", "detail": "d"}
    lake.create(old)
    for offset, shape in enumerate((old, table)):
        lake.create(shape)
        rows = [{**row, "kafka_offset": offset, "field": "f", "ingested_at": 0}]
        write = Write(expected={}, leaves={}, note={})
        append_arrow(pa.Table.from_pylist(rows, shape.schema), shape, tmp_path, write=write)
    lake.create(table)
    held = lake.read(table, ["kafka_offset", "field"]).sort_by("kafka_offset")
    assert held.to_pydict() == {"kafka_offset": [0, 1], "field": [None, "f"]}
    assert lake.version(table) == 3, "made, written, widened once, written"


@pytest.mark.parametrize(
    "column", [pa.field("reason", pa.int64(), nullable=False), pa.field("new", pa.string(), nullable=False)]
)
def test_a_column_of_another_type_or_without_null_is_refused(tmp_path: Path, column: pa.Field) -> None:
    lake, table = Lake(tmp_path), tables()["deadletter/events_views"]
    lake.create(table)
    fields = [field for field in table.schema if field.name != column.name]
    with pytest.raises(IntegrityError, match=f"deadletter/events_views cannot take column {column.name}"):
        lake.create(dataclasses.replace(table, schema=pa.schema([*fields, column])))


def test_read_filters_and_count(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.create_all()
    assert lake.count(TRENDING_1H) == 0
    rows = [
        {
            "as_of": 0,
            "item_id": f"track:{n}",
            "item_kind": "track",
            "rank": n,
            "score": 1.0,
            "listeners": 1,
            "events": 1,
        }
        for n in range(5)
    ]
    write_deltalake(str(TRENDING_1H.path(tmp_path)), pa.Table.from_pylist(rows, TRENDING_1H.schema), mode="append")
    assert lake.count(TRENDING_1H) == 5
    assert lake.version(TRENDING_1H) == 1
    assert lake.read(TRENDING_1H, ["rank"], pc.field("rank") >= 3).to_pydict() == {"rank": [3, 4]}
