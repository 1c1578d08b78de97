"""Both engines on the same lake: the same rows, scores and ranks, from the files of the window alone."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from streaming.jobs.trending_python import ArrowCharts
from streaming.jobs.trending_spark import SparkCharts
from streaming.storage import Storage
from streaming.tables import silver
from streaming.trending import WINDOWS
from tests.streaming.trending.test_rules import crowd, worlds
from tests.streaming.trending.worlds import NOW, TABLES, Event, World, expected, store

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from streaming.jobs.trending import Engine

pytestmark = [pytest.mark.spark, pytest.mark.slow]
NUMBERS = itertools.count()


@pytest.mark.timeout(900)
@settings(
    max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None,
    phases=[Phase.generate],  # an example takes seconds: shrinking would take an hour
)  # fmt: skip
@given(data=st.data())
def test_engines_agree_on_any_world(spark: SparkSession, tmp_path: Path, data: st.DataObject) -> None:
    window = WINDOWS[data.draw(st.sampled_from(list(WINDOWS)))]
    world = data.draw(worlds(window))
    late = data.draw(st.lists(st.sampled_from(world.events), max_size=5)) if world.events else []
    root = tmp_path / str(next(NUMBERS))
    store(root, world)
    store(root, World(tuple(replace(event, user="late", kind="listen") for event in late)))
    as_of = NOW + data.draw(st.sampled_from([timedelta(0), timedelta(minutes=4), -window.half_life]))
    by_spark, by_arrow = (
        SparkCharts(Storage.local(root), spark).chart(window, as_of),
        ArrowCharts(Storage.local(root)).chart(window, as_of),
    )
    assert by_spark.equals(by_arrow)
    whole = replace(world, events=(*world.events, *(replace(each, user="late", kind="listen") for each in late)))
    assert {row["item_id"]: row for row in by_arrow.to_pylist()} == expected(whole, window, as_of)


@pytest.fixture(params=["spark", "python"])
def engine(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Engine:
    return (
        SparkCharts(Storage.local(tmp_path), spark)
        if request.param == "spark"
        else ArrowCharts(Storage.local(tmp_path))
    )


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_files_from_before_the_window_are_not_opened(engine: Engine, tmp_path: Path, window) -> None:
    store(tmp_path, World(tuple(Event("old", kind, "track:old", window.length * 2) for kind in TABLES)))
    for name in TABLES.values():
        for file in DeltaTable(str(tmp_path / silver(name).id)).file_uris():
            # Whoever opens it fails, and that it is of no use does not show in the log.
            (tmp_path / "silver" / name / file.rpartition("/")[2]).write_bytes(b"not Parquet")
    world = World(tuple(crowd()))
    store(tmp_path, world)
    assert engine.chart(window, NOW).to_pylist() == list(expected(world, window).values())


def test_an_empty_lake_has_an_empty_chart(engine: Engine, tmp_path: Path) -> None:
    store(tmp_path, World())
    assert engine.chart(WINDOWS["1h"], NOW).num_rows == 0
    store(tmp_path, World((Event("a", "rating", "track:1"), Event("a", "listen", "track:1", timedelta(hours=2)))))
    assert engine.chart(WINDOWS["1h"], NOW).num_rows == 0
