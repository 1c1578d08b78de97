"""Small measurements on real parts: every side runs, what it did is checked, and the figures come out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, TopicPartition

from music_assets.bench import job_sides, scale, throughput
from music_assets.bench.arena import Arena, placed, produce
from music_assets.bench.history import fill
from music_assets.bench.workload import Stream, Truth, World, anchor_now
from streaming.errors import IntegrityError
from streaming.jobs import run_once
from streaming.lake import Lake
from streaming.ledger import problems
from streaming.tables import TRENDING_1H
from streaming.topics.admin import describe
from tests.streaming.conftest import recreate_topics

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.heavy, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _empty_topics(place: Arena) -> None:
    recreate_topics(place.settings.bootstrap_servers)


@pytest.mark.spark
def test_every_side_is_timed_on_the_same_messages(place: Arena, spark: SparkSession) -> None:
    told: list[str] = []
    options = throughput.Options(events=5000, trending_rows=2000, repeat=1)

    report = throughput.run(options, place, spark, told.append)

    content = json.loads(report.as_json())
    sides = content["measured"]["sides"]
    assert sides.keys() == set(throughput.SIDES)
    for name, side in sides.items():
        rows = 2 * 2000 if name == "trending" else 5000
        assert [sample["outcome"]["rows"] for sample in side["samples"]] == [rows], name
        assert side["median"]["rate"] > 0
    assert set(sides["silver"]["samples"][0]["outcome"]["phases"]) >= {"stage", "decide", "write", "ledger", "claims"}
    assert [each["name"] for each in content["requirements"]] == [
        "silver / json_parquet", "silver / noop", "silver_python / bare_python", "trending / json_noop", "dedup share",
    ]  # fmt: skip
    assert all(each["value"] is not None for each in content["requirements"])
    assert sum("warm-up" in line for line in told) == len(throughput.SIDES)


@pytest.mark.parametrize("wrong", ["stored", "duplicate", "dead_lettered"])
def test_a_job_that_does_something_else_is_no_measurement(place: Arena, tmp_path: Path, wrong: str) -> None:
    stream = Stream(world=World(5, anchor_now()), count=2000)
    produce(place.settings.bootstrap_servers, stream.chunks())
    own = placed(job_sides.with_engine(place.settings, "python"), tmp_path / "lake")
    job_sides.fresh(own)
    assert job_sides.take_in(own, None).rows == 2000
    job_sides.check(own, stream.truth)
    other = {**vars(stream.truth), wrong: vars(stream.truth)[wrong] + 1}
    with pytest.raises(IntegrityError, match=f"{wrong} where"):
        job_sides.check(own, Truth(**other))


def test_a_filled_lake_is_one_that_the_job_could_have_left(place: Arena, tmp_path: Path) -> None:
    world = World(6, anchor_now())
    own = placed(job_sides.with_engine(place.settings, "python"), tmp_path / "lake")

    stored = fill(own, world, 3000)
    run_once(job_sides.SILVER, own, None)
    stream = Stream(world=world, count=2000, first=3000, history=3000)
    produce(own.bootstrap_servers, stream.chunks())
    job_sides.take_in(own, None)

    job_sides.check_totals(own, stream.truth, before=stored)
    assert problems(Lake(own.storage), describe(own.bootstrap_servers)) == []


def test_the_rate_is_measured_at_each_size_warm_and_cold(place: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    # The whole machine's cache is not a test's to drop.
    monkeypatch.setattr(scale.machine, "_DROP_CACHES", place.home / "not" / "there")
    options = scale.Options(engine="python", sizes=(1000, 4000), events=1000, repeat=1)

    report = scale.run(options, place, None, lambda _sentence: None)

    assert [(run["stored"], run["heat"], len(run["samples"])) for run in report.measured["runs"]] == [
        (1000, "warm", 1), (1000, "cold", 1), (4000, "warm", 1), (4000, "cold", 1),
    ]  # fmt: skip
    assert [each.value is not None for each in report.requirements] == [True, True]


def test_a_copied_lake_is_the_same_and_its_source_stays(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "t").mkdir(parents=True)
    for name in ("x.parquet", "MANIFEST"):
        (source / "t" / name).write_text(name)
    scale.copy_lake(source, target)
    (target / "t" / "MANIFEST").write_text("changed")
    (target / "t" / "x.parquet").unlink()
    assert (source / "t" / "MANIFEST").read_text() == "MANIFEST"
    assert (source / "t" / "x.parquet").read_text() == "x.parquet"


def test_listeners_lie_in_the_partitions_where_the_producer_puts_them(place: Arena) -> None:
    world = World(7, anchor_now())
    produce(place.settings.bootstrap_servers, Stream(world=world, count=2000).chunks())
    expected = dict(zip(world.listeners, world.partition_of.tolist(), strict=True))
    state = describe(place.settings.bootstrap_servers)["events_listens"]
    consumer = Consumer({"bootstrap.servers": place.settings.bootstrap_servers, "group.id": "check"})
    consumer.assign([TopicPartition("events_listens", number, 0) for number in state.end_offsets])
    total = sum(state.end_offsets.values())
    found = consumer.consume(total, timeout=20)
    consumer.close()
    assert len(found) == total > 100
    assert all(each.partition() == expected[each.key().decode()] for each in found)


@pytest.mark.spark
def test_the_chart_counts_the_rows_that_were_filled_in(place: Arena, spark: SparkSession, tmp_path: Path) -> None:
    own = placed(place.settings, tmp_path / "lake")
    job_sides.fill_trending(own, 2000)
    assert sum(Lake(own.storage).count(table) for table in job_sides.charted_tables()) == 2000
    assert job_sides.chart(own, spark).rows == 2 * 2000
    assert Lake(own.storage).count(TRENDING_1H) > 100
