"""The ledger says so when anything stored, received or counted does not agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from streaming.lake import Lake
from streaming.ledger import Partition, Totals, end_offsets, problems, totals
from streaming.storage import Storage
from streaming.tables import LEDGER, Table, tables
from streaming.topics.admin import TopicState

if TYPE_CHECKING:
    from pathlib import Path

TOPIC = "events_views"
ROW = {
    "query": "q", "batch_id": 0, "topic": TOPIC, "kafka_topic_id": "T", "kafka_partition": 0,
    "first_offset": 0, "end_offset": 4,
    "received": 4, "stored": 2, "duplicate": 1, "dead_lettered": 1, "event_id_conflicts": 0, "committed_at": 0,
}  # fmt: skip
NOTHING = {"received": 0, "stored": 0, "duplicate": 0, "dead_lettered": 0}
BROKER = {TOPIC: TopicState(topic_id="T", partitions=1, first_offsets={0: 0}, end_offsets={0: 10})}


def write(lake: Lake, table: Table, rows: list[dict[str, Any]], *, mode: Any = "append") -> None:
    empty: dict[str, Any] = {
        field.name: b"" if pa.types.is_binary(field.type) else "" if pa.types.is_string(field.type) else 0
        for field in table.schema
        if not field.nullable
    }
    filled = [{**empty, **row} for row in rows]
    write_deltalake(str(lake.storage.folder / table.id), pa.Table.from_pylist(filled, table.schema), mode=mode)


def at(*offsets: int) -> list[dict[str, Any]]:
    return [{"kafka_topic_id": "T", "kafka_partition": 0, "kafka_offset": offset} for offset in offsets]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Four messages: 0 and 1 stored, 2 a duplicate, 3 a dead letter."""
    lake = Lake(Storage.local(tmp_path))
    lake.create_all()
    write(lake, LEDGER, [ROW])
    write(lake, tables()[f"silver/{TOPIC}"], at(0, 1))
    write(lake, tables()[f"deadletter/{TOPIC}"], at(3))
    write(lake, tables()[f"bronze/{TOPIC}"], at(0, 1, 2, 3))
    return lake


def test_balanced(lake: Lake) -> None:
    assert problems(lake, BROKER) == []
    assert totals(lake)[TOPIC] == Totals(received=4, stored=2, duplicate=1, dead_lettered=1)
    assert totals(lake)["events_clicks"] == Totals()
    assert end_offsets(lake) == {Partition("T", 0): 4}


def test_what_a_batch_is_writing_is_no_problem(lake: Lake) -> None:
    write(lake, tables()[f"silver/{TOPIC}"], at(4, 5))
    write(lake, tables()[f"bronze/{TOPIC}"], at(4, 5, 6))
    assert problems(lake, BROKER) == []


def test_another_topic_id_is_another_topic(lake: Lake) -> None:
    write(lake, LEDGER, [{**ROW, "kafka_topic_id": "U", "received": 0, "stored": 0, "duplicate": 0, "dead_lettered": 0,
                          "end_offset": 0}])  # fmt: skip
    assert (
        problems(lake, {TOPIC: TopicState(topic_id="U", partitions=1, first_offsets={0: 0}, end_offsets={0: 0})}) == []
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{**ROW, "received": 5}], "received 5, but 4 have an outcome"),
        ([{**ROW, "end_offset": 5}], "covers 5 offsets, but received 4"),
        ([ROW, {**ROW, "first_offset": 5, "end_offset": 5, **NOTHING}],
         "covers offsets up to 4, then from 5"),
        ([ROW, ROW], "covers offsets up to 4, then from 0"),
        ([{**ROW, "stored": 3, "duplicate": 0}], "the ledger counts 3 stored, the table has 2"),
        ([{**ROW, "stored": 1, "dead_lettered": 2}], "the ledger counts 2 dead_lettered, the table has 1"),
    ],
)  # fmt: skip
def test_a_wrong_ledger_is_found(lake: Lake, rows: list[dict[str, Any]], expected: str) -> None:
    write(lake, LEDGER, rows, mode="overwrite")
    assert any(expected in problem for problem in problems(lake, BROKER)), problems(lake, BROKER)


@pytest.mark.parametrize(
    ("table", "offsets", "expected"),
    [
        ("silver", (0,), "counts 2 stored, the table has 1"),
        ("silver", (0, 1, 2), "counts 2 stored, the table has 3"),
        ("silver", (0, 1, 1), "3 rows hold 2 positions"),
        ("deadletter", (), "counts 1 dead_lettered, the table has 0"),
        ("bronze", (0, 1, 3), "3 rows hold 3 positions of the 4"),
        ("bronze", (0, 1, 1, 2, 3), "5 rows hold 4 positions of the 4"),
    ],
)
def test_wrong_tables_are_found(lake: Lake, table: str, offsets: tuple[int, ...], expected: str) -> None:
    write(lake, tables()[f"{table}/{TOPIC}"], at(*offsets), mode="overwrite")
    assert any(expected in problem for problem in problems(lake, BROKER)), problems(lake, BROKER)


def test_a_broker_that_lost_messages_is_found(lake: Lake) -> None:
    behind = {TOPIC: TopicState(topic_id="T", partitions=1, first_offsets={0: 0}, end_offsets={0: 3})}
    assert problems(lake, behind) == [f"{TOPIC}[0]: the ledger ends at 4, the broker already at 3"]
    gone = {TOPIC: TopicState(topic_id="T", partitions=1, first_offsets={0: 6}, end_offsets={0: 9})}
    assert problems(lake, gone) == [f"{TOPIC}[0]: offsets 4..6 left the broker before they were read"]
