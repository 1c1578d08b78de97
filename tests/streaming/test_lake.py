"""The lake is readable without a JVM, and its tables are what the registry says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from streaming.errors import UnavailableError
from streaming.lake import Lake
from streaming.sinks.delta import Write, append_arrow
from streaming.tables import LEDGER, TRENDING_1H, silver, tables

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


def test_a_table_of_an_older_release_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    older = replace(LEDGER, schema=LEDGER.schema.remove(LEDGER.schema.get_field_index("erased")))
    lake.create(older)
    row = {field.name: 1 if pa.types.is_integer(field.type) else "x" for field in older.schema}
    row["committed_at"] = datetime(2026, 1, 1, tzinfo=UTC)
    write = Write(expected={}, leaves={}, note={})
    append_arrow(pa.Table.from_pylist([row], older.schema), older, tmp_path, write=write)
    for _ in range(2):
        lake.create(LEDGER)
    assert lake.read(LEDGER).to_pylist() == [{**row, "erased": None}]
    append_arrow(pa.Table.from_pylist([{**row, "erased": 2}], LEDGER.schema), LEDGER, tmp_path, write=write)
    assert lake.count(LEDGER) == 2
