"""`STORAGE_FORMAT=parquet`: the same rows as with Delta, whatever is killed, and a clear word where there is no log."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from streaming.errors import ConfigurationError, IntegrityError
from streaming.formats import parquet as reading
from streaming.jobs.backfill import backfill
from streaming.jobs.erase import erase_once
from streaming.jobs.trending_python import ArrowCharts
from streaming.jobs.trending_spark import SparkCharts
from streaming.lake import Lake
from streaming.repair.letters import Wanted
from streaming.repair.rebuild import rebuild_silver
from streaming.repair.redrive import redrive
from streaming.sinks import parquet
from streaming.sinks.files import write_data_file
from streaming.sinks.tables import Write, append_arrow, commit_files, upsert
from streaming.sinks.tables import replace as replace_chart
from streaming.storage import Storage
from streaming.tables import REDRIVEN, TRENDING_1H, bronze, silver, tables
from streaming.trending import WINDOWS
from streaming.upkeep import tend_all
from tests.streaming.conftest import BRONZE, SILVER, TRENDING, Platform, event, recreate_topics

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from tests.conftest import MakeSettings

SONGS = silver("catalog_songs")
FREE = Write(expected={}, leaves={}, note={})


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "lake"), format="parquet")


@pytest.fixture
def platforms(
    broker: str, redis_url: str, spark: SparkSession, make_settings: MakeSettings, engine: str
) -> tuple[Platform, Platform]:
    """The same topics to a lake of Parquet, and to one of Delta by the engine without a JVM."""
    recreate_topics(broker)
    settings = make_settings(
        kafka_bootstrap_servers=broker, redis_url=redis_url, stream_engine=engine, storage_format="parquet"
    )
    home = settings.music_home / "delta"
    other = settings.model_copy(update={"storage_format": "delta", "music_home": home, "stream_engine": "python"})
    return Platform(settings, spark), Platform(other, spark)


def song(number: int, *, artist: int = 1) -> dict[str, Any]:
    return {"item_id": f"track:{number}", "name": f"song {number}", "artist_id": f"artist:{artist}"}


def records(*rows: tuple[str, int, str, bool], topic_id: str = "t") -> pa.Table:
    shape = reading.stored_schema(SONGS)
    full = [
        {
            **{field.name: None for field in shape}, "item_id": key, "name": name, "kafka_topic_id": topic_id,
            "kafka_partition": 0, "kafka_offset": offset, "event_id": f"{key}-{offset}", "artist_id": "artist:1",
            "ingested_at": datetime.now(UTC), "timestamp": datetime.now(UTC), "deleted": deleted,
            "event_type": "song", "user_id": "u", "schema_version": 1,
        }
        for key, offset, name, deleted in rows
    ]  # fmt: skip
    return pa.Table.from_pylist([{name: row.get(name) for name in shape.names} for row in full], shape)


def names(storage: Storage) -> dict[str, str]:
    rows = Lake(storage).read(SONGS).to_pylist()
    return {row["item_id"]: row["name"] for row in rows}


@pytest.mark.spark
def test_rows_are_those_of_a_delta_lake_after_a_kill_between_two_tables(
    platforms: tuple[Platform, Platform], monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, other = platforms
    now = datetime.now(UTC).isoformat()
    platform.put("catalog_songs", song(1), song(2), song(1, artist=2))
    platform.put("events_listens", *(event(number, timestamp=now) for number in range(30)), event(3), b"{")
    platform.put("events_views", event(3, kind="view"), event(40, kind="view", timestamp=now), b"")
    real = parquet.commit_files

    def die(files: Any, table: Any, *rest: Any, **how: Any) -> None:
        if table.id == "silver/events_views":
            raise InterruptedError("killed")
        real(files, table, *rest, **how)

    with monkeypatch.context() as patch:
        patch.setattr(parquet, "commit_files", die)
        with pytest.raises(Exception, match="killed"):
            platform.run(SILVER)
    platform.put("catalog_songs", song(3))
    platform.put("events_listens", *(event(number, timestamp=now) for number in range(25, 50)))
    for job in (SILVER, BRONZE):
        platform.run(job)
    platform.put("events_views", event(41, kind="view", timestamp=now))
    for job in (SILVER, BRONZE, BRONZE, TRENDING):
        platform.run(job)
    for job in (SILVER, BRONZE):
        other.run(job)
    assert platform.problems() == []
    for table in tables().values():
        if table.layer in {"bronze", "silver", "deadletter"}:
            columns = [name for name in table.schema.names if name != "ingested_at"]
            mine, theirs = (sorted(map(repr, each.lake.read(table, columns).to_pylist())) for each in (platform, other))
            assert mine == theirs, table.id
            assert platform.lake.count(table) == len(mine)
    assert {row["item_id"] for row in platform.rows("gold/trending_now_1h")} >= {f"track:{n}" for n in range(7)}
    assert len({row["batch_id"] for row in platform.rows("lake/ledger")}) > 1, "the count goes on after a start"


@pytest.mark.spark
def test_both_engines_compute_the_same_chart(platforms: tuple[Platform, Platform]) -> None:
    platform, _ = platforms
    now = datetime.now(UTC)
    platform.put("catalog_songs", song(1), song(1, artist=2))
    platform.put("events_listens", *(event(number, timestamp=now.isoformat()) for number in range(30)))
    platform.run(SILVER)
    window, as_of = WINDOWS["1h"], datetime.now(UTC)
    charts = [
        engine.chart(window, as_of)
        for engine in (SparkCharts(platform.lake.storage, platform.spark), ArrowCharts(platform.lake.storage))
    ]
    assert charts[0].equals(charts[1])
    items = set(charts[0]["item_id"].to_pylist())
    assert "artist:2" in items
    assert "artist:1" not in items


def staged(storage: Storage) -> list[Path]:
    return [path for path in (storage.folder / "_staging").rglob("*") if path.is_file()]


def test_a_commit_of_several_files_is_one(storage: Storage) -> None:
    table = bronze("events_views")
    lake = Lake(storage)
    lake.create(table)
    row = dict.fromkeys(table.schema.names) | {
        "kafka_topic_id": "t", "kafka_partition": 0, "kafka_timestamp": datetime.now(UTC)
    }  # fmt: skip
    parts = [pa.Table.from_pylist([{**row, "kafka_offset": at}], table.schema) for at in (0, 1)]
    files = [write_data_file(part, table, storage) for part in parts]
    assert lake.count(table) == 0
    commit_files(files, table, storage, write=Write(expected={"b": None}, leaves={"b": 2}, note={}))
    assert lake.read(table)["kafka_offset"].to_pylist() == [0, 1]
    assert lake.version(table) == 1
    assert staged(storage) == []
    assert lake.marks(table, ["b", "c"]) == {"b": 2, "c": None}
    with pytest.raises(IntegrityError, match="does a second one write"):
        commit_files([], table, storage, write=Write(expected={"b": None}, leaves={"b": 2}, note={}))
    commit_files([], table, storage, write=Write(expected={"b": 2}, leaves={"c": 1}, note={}))
    assert lake.marks(table, ["b", "c"]) == {"b": 2, "c": 1}
    (left,) = staged(storage)
    lake.create(table)
    assert staged(storage) == [left]
    os.utime(left, (0, 0))
    lake.create(table)
    assert staged(storage) == [], "what a killed writer left goes when no batch can still want it"


def test_a_file_that_is_there_is_never_replaced(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(storage)
    lake.create(REDRIVEN)
    real = os.link

    def later(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", real)
        append_arrow(REDRIVEN.schema.empty_table(), REDRIVEN, storage, write=FREE)
        real(source, target)

    monkeypatch.setattr(os, "link", later)
    append_arrow(REDRIVEN.schema.empty_table(), REDRIVEN, storage, write=FREE)
    assert lake.version(REDRIVEN) == 2


def test_a_catalogue_shows_the_last_values_of_its_history(storage: Storage) -> None:
    Lake(storage).create(SONGS)
    upsert(records(("a", 1, "old", False), ("b", 2, "gone", False)), SONGS, storage, note={})
    upsert(records(("a", 5, "new", False), ("b", 6, "gone", True)), SONGS, storage, note={})
    upsert(records(("a", 1, "old", False)), SONGS, storage, note={})  # an unfinished batch again
    assert names(storage) == {"a": "new"}
    upsert(records(("a", 0, "of another topic", False), topic_id="u"), SONGS, storage, note={})
    assert names(storage) == {"a": "of another topic"}
    assert Lake(storage).count(SONGS) == 1


def test_a_chart_is_its_last_file_and_the_ones_before_go(storage: Storage) -> None:
    lake = Lake(storage)
    lake.create(TRENDING_1H)
    row = {"item_kind": "track", "rank": 1, "score": 1.0, "listeners": 1, "events": 1, "as_of": datetime.now(UTC)}
    for number in range(5):
        chart = pa.Table.from_pylist([{**row, "item_id": f"track:{number}"}], TRENDING_1H.schema)
        replace_chart(chart, TRENDING_1H, storage, note={})
        assert lake.read(TRENDING_1H)["item_id"].to_pylist() == [f"track:{number}"]
    assert len(list((storage.folder / TRENDING_1H.id).glob("*.parquet"))) == 3, (
        "the empty one, the last, one for readers"
    )
    assert lake.version(TRENDING_1H) == 5


def test_statistics_choose_the_files_of_a_stretch_of_time(storage: Storage) -> None:
    table, lake = tables()["gold/trending_history"], Lake(storage)
    lake.create(table)
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    row = {"window": "1h", "item_id": "track:1", "item_kind": "track", "rank": 1, "score": 1.0, "listeners": 1}
    for hours in range(3):
        rows = [{**row, "events": 1, "as_of": noon + timedelta(hours=hours)}]
        append_arrow(pa.Table.from_pylist(rows, table.schema), table, storage, write=FREE)
    assert lake.count(table) == 3
    assert lake.earliest(table, "as_of") == noon
    # Whoever opens it fails; what its footer said is known.
    early = storage.folder / table.id / "000000000001.parquet"
    before = early.stat()
    early.write_bytes(b"x" * before.st_size)
    os.utime(early, ns=(before.st_atime_ns, before.st_mtime_ns))
    after, until = noon + timedelta(minutes=1), noon + timedelta(hours=1)
    found = pa.Table.from_batches(lake.between(table, "as_of", after=after, until=until, columns=["as_of"]))
    assert found["as_of"].to_pylist() == [until]
    assert lake.count_between(table, "as_of", after=after, until=until) == 1
    assert lake.newest(table, "as_of") == noon + timedelta(hours=2)


def test_a_new_optional_column_is_read_from_old_files_too(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    Lake(storage).create(TRENDING_1H)
    wider = replace(TRENDING_1H, schema=TRENDING_1H.schema.append(pa.field("mood", pa.string())))
    Lake(storage).create(wider)
    assert Lake(storage).read(wider, ["mood"]).num_rows == 0
    strict = replace(TRENDING_1H, schema=TRENDING_1H.schema.append(pa.field("mood", pa.string(), nullable=False)))
    with pytest.raises(IntegrityError, match="cannot take column mood"):
        Lake(storage).create(strict)


def test_a_lake_of_one_format_refuses_the_other_by_name(storage: Storage, tmp_path: Path) -> None:
    Lake(storage).create_all()
    with pytest.raises(ConfigurationError, match="was made with STORAGE_FORMAT=parquet"):
        Lake(replace(storage, format="delta")).create_all()
    other = Storage.local(tmp_path / "delta")
    Lake(other).create_all()
    with pytest.raises(ConfigurationError, match="was made with STORAGE_FORMAT=delta"):
        Lake(replace(other, format="parquet")).create_all()


def test_what_needs_a_log_says_so(make_settings: MakeSettings) -> None:
    settings = make_settings(storage_format="parquet", stream_engine="python")
    Lake(settings.storage).create_all()
    for attempt in (
        lambda: rebuild_silver(settings),
        lambda: redrive(settings, Wanted()),
        lambda: erase_once(["listener-1"], "request", settings, None),
        lambda: tend_all(settings),
    ):
        with pytest.raises(ConfigurationError, match=r"^STORAGE_FORMAT=parquet keeps .*; valid: delta, in another"):
            attempt()


def test_a_backfill_computes_what_is_missing_and_replaces_nothing(make_settings: MakeSettings) -> None:
    settings = make_settings(storage_format="parquet")
    lake = Lake(settings.storage)
    lake.create_all()
    table = silver("events_listens")
    at = datetime.now(UTC) - timedelta(minutes=12)
    row = {
        **dict.fromkeys(table.schema.names), **event(1, timestamp=at), "kafka_topic_id": "t",
        "kafka_partition": 0, "kafka_offset": 0, "ingested_at": at, "schema_version": 1,
    }  # fmt: skip
    append_arrow(pa.Table.from_pylist([row], table.schema), table, settings.storage, write=FREE)
    engine, window = ArrowCharts(settings.storage), WINDOWS["1h"]
    assert backfill(settings, engine, window, since=at, missing=True) > 0
    held = lake.count(tables()["gold/trending_history"])
    assert held > 0
    assert backfill(settings, engine, window, since=at, missing=True) == 0
    with pytest.raises(ConfigurationError, match="music backfill trending --missing"):
        backfill(settings, engine, window, since=at)
    assert lake.count(tables()["gold/trending_history"]) == held
