"""The lake is readable without a JVM, and its tables are what the registry says."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from streaming.errors import IntegrityError, UnavailableError
from streaming.lake import Lake
from streaming.sinks.tables import Write, append_arrow
from streaming.storage import Storage
from streaming.tables import TRENDING_1H, TRENDING_HISTORY, silver, tables

if TYPE_CHECKING:
    from pathlib import Path


def test_tables_are_made_once_with_their_schema_and_properties(tmp_path: Path) -> None:
    lake = Lake(Storage.local(tmp_path))
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
    lake, table = Lake(Storage.local(tmp_path)), tables()["deadletter/events_views"]
    old = dataclasses.replace(table, schema=pa.schema([field for field in table.schema if field.name != "field"]))
    row = {"kafka_topic_id": "T", "kafka_partition": 0, "kafka_timestamp": 0, "reason": "r", "detail": "d"}
    lake.create(old)
    for offset, shape in enumerate((old, table)):
        lake.create(shape)
        rows = [{**row, "kafka_offset": offset, "field": "f", "ingested_at": 0}]
        write = Write(expected={}, leaves={}, note={})
        append_arrow(pa.Table.from_pylist(rows, shape.schema), shape, lake.storage, write=write)
    lake.create(table)
    held = lake.read(table, ["kafka_offset", "field"]).sort_by("kafka_offset")
    assert held.to_pydict() == {"kafka_offset": [0, 1], "field": [None, "f"]}
    assert lake.version(table) == 3, "made, written, widened once, written"


@pytest.mark.parametrize(
    "column", [pa.field("reason", pa.int64(), nullable=False), pa.field("new", pa.string(), nullable=False)]
)
def test_a_column_of_another_type_or_without_null_is_refused(tmp_path: Path, column: pa.Field) -> None:
    lake, table = Lake(Storage.local(tmp_path)), tables()["deadletter/events_views"]
    lake.create(table)
    fields = [field for field in table.schema if field.name != column.name]
    with pytest.raises(IntegrityError, match=f"deadletter/events_views cannot take column {column.name}"):
        lake.create(dataclasses.replace(table, schema=pa.schema([*fields, column])))


def test_read_filters_and_count(tmp_path: Path) -> None:
    lake = Lake(Storage.local(tmp_path))
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
    write_deltalake(str(tmp_path / TRENDING_1H.id), pa.Table.from_pylist(rows, TRENDING_1H.schema), mode="append")
    assert lake.count(TRENDING_1H) == 5
    assert lake.version(TRENDING_1H) == 1
    assert lake.read(TRENDING_1H, ["rank"], pc.field("rank") >= 3).to_pydict() == {"rank": [3, 4]}


NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def ticks(root: Path, *moments: datetime) -> None:
    """Append a file to the history, a row for each moment."""
    row = {"window": "1h", "item_id": "track:1", "item_kind": "track", "rank": 1, "score": 1.0}
    rows = [{**row, "as_of": moment, "listeners": 1, "events": 1} for moment in moments]
    path = str(root / TRENDING_HISTORY.id)
    write_deltalake(path, pa.Table.from_pylist(rows, TRENDING_HISTORY.schema), mode="append")


def moments(lake: Lake, after: datetime, until: datetime) -> list[datetime]:
    read = lake.between(TRENDING_HISTORY, "as_of", after=after, until=until, columns=["as_of"])
    return sorted(moment for batch in read for moment in batch["as_of"].to_pylist())


def test_rows_between_two_moments_come_from_their_files_alone(tmp_path: Path) -> None:
    lake = Lake(Storage.local(tmp_path))
    lake.create(TRENDING_HISTORY)
    assert lake.earliest(TRENDING_HISTORY, "as_of") is None
    assert lake.count_between(TRENDING_HISTORY, "as_of", after=NOON, until=NOON + SECOND) == 0
    ticks(tmp_path, NOON - 90 * SECOND, NOON - 60 * SECOND)
    for file in (tmp_path / TRENDING_HISTORY.id).glob("*.parquet"):
        file.unlink()
    ticks(tmp_path, NOON - 59 * SECOND, NOON, NOON + SECOND)
    assert moments(lake, NOON - 59 * SECOND, NOON) == [NOON]
    assert moments(lake, NOON - 60 * SECOND + timedelta(milliseconds=1), NOON) == [NOON - 59 * SECOND, NOON]
    assert lake.count_between(TRENDING_HISTORY, "as_of", after=NOON - 59 * SECOND, until=NOON) == 3
    assert lake.count_between(TRENDING_HISTORY, "as_of", after=NOON - 61 * SECOND, until=NOON) == 5
    assert lake.earliest(TRENDING_HISTORY, "as_of") == NOON - 90 * SECOND


def test_statistics_that_are_cut_to_the_millisecond_hide_no_row(tmp_path: Path) -> None:
    """Spark writes them so; the newest row of a file is then newer than its maximum."""
    lake = Lake(Storage.local(tmp_path))
    lake.create(TRENDING_HISTORY)
    newest = NOON + timedelta(microseconds=999)
    ticks(tmp_path, NOON - SECOND, newest)
    log = tmp_path / TRENDING_HISTORY.id / "_delta_log" / f"{1:020}.json"
    actions = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    for action in actions:
        if "add" in action:
            stats = json.loads(action["add"]["stats"])
            stats["maxValues"]["as_of"] = "2026-06-01T12:00:00.000Z"
            action["add"]["stats"] = json.dumps(stats)
    log.write_text("\n".join(json.dumps(action) for action in actions), encoding="utf-8")
    assert moments(lake, NOON, NOON + SECOND) == [newest]
    assert lake.count_between(TRENDING_HISTORY, "as_of", after=NOON, until=NOON + SECOND) == 2
