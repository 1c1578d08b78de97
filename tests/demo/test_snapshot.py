"""What the lake holds is counted as it is, copies and all."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from music_assets.demo import snapshot
from streaming.lake import Lake
from streaming.ledger import Totals
from streaming.storage import Storage
from streaming.tables import LEDGER, Table, silver, tables
from streaming.topics.admin import TopicState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(Storage.local(tmp_path / "lake"))
    made.create_all()
    return made


def _append(lake: Lake, table: Table, *rows: dict[str, Any]) -> None:
    filled = [{field.name: row.get(field.name, _any_of(field)) for field in table.schema} for row in rows]
    write_deltalake(str(lake.storage.folder / table.id), pa.Table.from_pylist(filled, table.schema), mode="append")


def _any_of(field: pa.Field) -> Any:
    if field.nullable:
        return None
    if pa.types.is_timestamp(field.type):
        return NOW
    return "x" if pa.types.is_string(field.type) else 0


def test_no_lake_counts_as_empty(tmp_path: Path) -> None:
    lake = Lake(Storage.local(tmp_path / "none"))
    assert snapshot.take(lake) == snapshot.Snapshot()
    assert snapshot.of_source(lake, "radio") == {}


def test_rows_event_ids_dead_letters_and_items_are_counted(lake: Lake) -> None:
    listens = silver("events_listens")
    _append(lake, listens, {"event_id": "a", "source": "radio"}, {"event_id": "b"}, {"event_id": "b"})
    _append(lake, tables()["deadletter/events_listens"], {"reason": "not_utf8"}, {"reason": "not_utf8"})
    _append(lake, silver("catalog_songs"), {"item_id": "track:1"})
    _append(lake, LEDGER, {"topic": "events_listens", "received": 5, "stored": 3, "dead_lettered": 2})
    taken = snapshot.take(lake)
    assert (taken.rows["events_listens"], taken.event_ids["events_listens"]) == (3, 2)
    assert taken.dead_letters["events_listens"] == {"not_utf8": 2}
    assert taken.items["catalog_songs"] == {"track:1"}
    assert taken.totals["events_listens"] == Totals(received=5, stored=3, dead_lettered=2)
    assert taken.rows["events_views"] == 0
    assert snapshot.of_source(lake, "radio")["events_listens"] == 1


def test_the_backlog_is_what_the_ledger_does_not_cover(lake: Lake) -> None:
    _append(
        lake, LEDGER,
        {"topic": "events_views", "kafka_topic_id": "t", "kafka_partition": 0, "first_offset": 2, "end_offset": 10},
    )  # fmt: skip
    broker = {
        "events_views": TopicState(topic_id="t", partitions=2, first_offsets={0: 4, 1: 3}, end_offsets={0: 12, 1: 3}),
        "music_recommendations": TopicState(topic_id="r", partitions=1, first_offsets={0: 0}, end_offsets={0: 9}),
    }
    assert snapshot.backlog(lake, broker) == 2
    again = {"events_views": TopicState(topic_id="new", partitions=1, first_offsets={0: 0}, end_offsets={0: 10})}
    assert snapshot.backlog(lake, again) == 10
