from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from music_assets.warehouse import LoadResult, load_table
from streaming.errors import IntegrityError
from streaming.lake import Lake
from streaming.storage import Storage
from streaming.tables import Table, silver, tables
from tests.warehouse.lakes import NOON, arrow, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    Connection = psycopg.Connection[tuple[Any, ...]]

NASTY = (
    "plain", "", " ", '"', '""', "'", "\\", "\\N", "\\.", "NULL", "null", "a,b", "a\tb", "a\nb", "a\r\nb",
    "line\n\\.\nend",
    "{}", '{"a",b}', "ünïcödé", "日本語", "🎵", "e\u0301", "\u200b", "$1", "%s",
    "; drop table silver.events_listens; --",
)  # fmt: skip


def column(conn: Connection, table: Table, name: str, order: str = "kafka_offset") -> list[Any]:
    rows = conn.execute(f"select {name} from silver.{table.name} order by {order}").fetchall()
    return [row[0] for row in rows]


def test_every_value_arrives_as_it_was(conn: Connection, lake: Lake) -> None:
    moment = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    rows = [
        {"context": text, "timestamp": moment - timedelta(days=day), "ms_played": 2**40, "rating": 0.1 + 0.2}
        for day, text in enumerate(NASTY)
    ]
    table = write(lake, "events_listens", *rows)

    load_table(conn, lake, table)

    assert column(conn, table, "context") == list(NASTY)
    assert column(conn, table, "timestamp") == [row["timestamp"] for row in rows]
    assert set(column(conn, table, "ms_played")) == {2**40}
    assert set(column(conn, table, "rating")) == {0.1 + 0.2}


def test_null_is_not_the_empty_string(conn: Connection, lake: Lake) -> None:
    table = write(lake, "events_listens", {"context": None, "ms_played": None}, {"context": "", "ms_played": 0})

    load_table(conn, lake, table)

    assert column(conn, table, "context") == [None, ""]
    assert column(conn, table, "ms_played") == [None, 0]


def test_lists_arrive_as_arrays(conn: Connection, lake: Lake) -> None:
    rows = [{"reasons": list(NASTY)}, {"reasons": []}, {"reasons": ["one"]}]
    table = write(lake, "recommendation_events", *rows)

    load_table(conn, lake, table)

    assert column(conn, table, "reasons") == [list(NASTY), [], ["one"]]


def test_a_second_load_takes_only_what_is_new(conn: Connection, lake: Lake) -> None:
    table = write(lake, "events_listens", {}, {"kafka_partition": 1, "event_id": "other"})
    first = load_table(conn, lake, table)
    write(lake, "events_listens", {"kafka_offset": 1}, {"kafka_partition": 2, "event_id": "new partition"})
    second = load_table(conn, lake, table)
    third = load_table(conn, lake, table)

    assert (first.rows, second.rows, third.rows) == (2, 2, 0)
    assert third == LoadResult(rows=0, deleted=0, rows_total=4, rows_in_lake=4)
    assert third.complete


def test_a_topic_made_again_starts_at_offset_zero_and_is_loaded(conn: Connection, lake: Lake) -> None:
    table = write(lake, "events_listens", {"kafka_offset": 500})
    load_table(conn, lake, table)
    write(lake, "events_listens", {"kafka_topic_id": "topic-b", "kafka_offset": 0})

    result = load_table(conn, lake, table)

    assert (result.rows, result.rows_total, result.complete) == (1, 2, True)


def test_rows_that_appear_below_the_watermark_are_noticed(conn: Connection, lake: Lake) -> None:
    table = write(lake, "events_listens", {"kafka_offset": 7})
    load_table(conn, lake, table)
    write(lake, "events_listens", {"kafka_offset": 3})

    result = load_table(conn, lake, table)

    assert not result.complete
    assert (result.rows_in_lake, result.rows_total) == (2, 1)


class DyingLake(Lake):
    """Ends the loader's connection after the first batch, as a killed process would."""

    def __init__(self, lake: Lake, url: str, victim: int) -> None:
        super().__init__(lake.storage)
        self.url, self.victim = url, victim

    def batches(self, table: Table, where: Any = None) -> Iterator[pa.RecordBatch]:
        for batch in super().batches(table, where):
            yield batch
            with psycopg.connect(self.url, autocommit=True) as killer:
                killer.execute("select pg_terminate_backend(%s)", (self.victim,))


def test_a_load_that_dies_leaves_nothing_behind(warehouse_url: str, conn: Connection, lake: Lake) -> None:
    table = write(lake, "events_listens", {})
    load_table(conn, lake, table)
    write(lake, "events_listens", {"kafka_offset": 1})
    write(lake, "events_listens", {"kafka_offset": 2})

    with psycopg.connect(warehouse_url) as victim:
        dying = DyingLake(lake, warehouse_url, victim.info.backend_pid)
        with pytest.raises(psycopg.OperationalError):
            load_table(victim, dying, table)
    assert column(conn, table, "event_id") == ["e0"]

    assert load_table(conn, lake, table).rows == 2
    assert column(conn, table, "event_id") == ["e0", "e1", "e2"]


def test_two_loads_at_once_load_each_row_once(warehouse_url: str, lake: Lake) -> None:
    table = write(lake, "events_listens", *[{} for _ in range(20_000)])

    def load(_: int) -> LoadResult:
        with psycopg.connect(warehouse_url) as connection:
            return load_table(connection, lake, table)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(load, range(4)))

    assert sorted(result.rows for result in results) == [0, 0, 0, 20_000]
    assert {result.rows_total for result in results} == {20_000}


def test_an_event_under_two_positions_stops_the_load(conn: Connection, lake: Lake) -> None:
    table = write(lake, "events_listens", {"event_id": "same"}, {"event_id": "same"})

    with pytest.raises(IntegrityError, match="silver/events_listens holds an event under two positions"):
        load_table(conn, lake, table)

    assert conn.execute("select count(*) from ops.load_watermark").fetchone() == (0,)


def test_a_catalogue_holds_the_last_value_of_each_item(conn: Connection, lake: Lake) -> None:
    table = write(lake, "catalog_songs", {"item_id": "track:1", "name": "old"}, {"item_id": "track:2"})
    load_table(conn, lake, table)
    write(
        lake,
        "catalog_songs",
        {"item_id": "track:1", "name": "new", "kafka_offset": 9},
        {"item_id": "track:2", "kafka_offset": 1},
        {"item_id": "track:3", "kafka_offset": 10},
        mode="overwrite",
    )

    result = load_table(conn, lake, table)

    assert result == LoadResult(rows=2, deleted=0, rows_total=3, rows_in_lake=3)
    assert column(conn, table, "name", order="item_id") == ["new", "a name", "a name"]


def test_an_item_that_left_the_catalogue_leaves_the_warehouse(conn: Connection, lake: Lake) -> None:
    table = write(lake, "catalog_songs", {"item_id": "track:1"}, {"item_id": "track:2"})
    load_table(conn, lake, table)
    write(lake, "catalog_songs", {"item_id": "track:1"}, mode="overwrite")

    result = load_table(conn, lake, table)

    assert result == LoadResult(rows=0, deleted=1, rows_total=1, rows_in_lake=1)
    assert column(conn, table, "item_id") == ["track:1"]


def test_a_table_that_was_never_written_is_made_empty(conn: Connection, lake: Lake) -> None:
    for table in tables().values():
        if table.layer == "silver":
            assert load_table(conn, lake, table) == LoadResult(rows=0, deleted=0, rows_total=0, rows_in_lake=0)
            assert column(conn, table, "*") == []


def test_a_lake_that_lost_a_table_does_not_empty_the_warehouse(conn: Connection, lake: Lake, tmp_path: Any) -> None:
    table = write(lake, "catalog_songs", {"item_id": "track:1"})
    load_table(conn, lake, table)

    with pytest.raises(IntegrityError, match=r"silver/catalog_songs is gone from the lake"):
        load_table(conn, Lake(Storage.local(tmp_path / "elsewhere")), table)

    assert column(conn, table, "item_id") == ["track:1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("add column extra text", "has an unknown column 'extra'"),
        ("drop column context", "has no column 'context'"),
        ("alter column ms_played type integer", "column 'ms_played' is integer, not bigint"),
        ("alter column user_id drop not null", "column 'user_id' is text, not text not null"),
    ],
)
def test_a_changed_warehouse_table_is_refused(conn: Connection, lake: Lake, change: str, message: str) -> None:
    table = write(lake, "events_listens", {})
    load_table(conn, lake, table)
    conn.execute(f"alter table silver.events_listens {change}")

    with pytest.raises(IntegrityError, match=rf"silver\.events_listens {message}"):
        load_table(conn, lake, table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.append_column("extra", pa.array(["x"])), "has an unknown column 'extra'"),
        (lambda rows: rows.drop_columns(["context"]), "has no column 'context'"),
        (
            lambda rows: rows.set_column(
                rows.schema.get_field_index("ms_played"), "ms_played", pa.array([1], pa.int32())
            ),
            "column 'ms_played' is integer, not bigint",
        ),
    ],
)
def test_a_changed_lake_table_is_refused(conn: Connection, lake: Lake, change: Any, message: str) -> None:
    table = silver("events_listens")
    write_deltalake(str(lake.storage.folder / table.id), change(arrow(table, [{}])))

    with pytest.raises(IntegrityError, match=f"lake table silver/events_listens {message}"):
        load_table(conn, lake, table)


def test_a_load_opens_only_files_that_hold_new_rows(conn: Connection, lake: Lake) -> None:
    table = write(lake, "events_listens", *[{"timestamp": NOON} for _ in range(10)])
    load_table(conn, lake, table)
    old = DeltaTable(str(lake.storage.folder / table.id)).file_uris()
    write(lake, "events_listens", {"kafka_offset": 10})
    for path in old:
        with open(path, "r+b") as file:  # noqa: PTH123 - a file that is read now is an error
            file.seek(4)
            file.write(b"\0" * 64)

    from music_assets.warehouse import watermark

    rows = lake.read(table, columns=["event_id"], where=watermark.beyond(watermark.read(conn, table)))

    assert rows.column("event_id").to_pylist() == ["e10"]
