"""The chart on events whose right order is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from streaming.transforms.trending import HALF_LIFE, LISTENER_CAP, trending

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def chart(
    spark: SparkSession, events: list[tuple[str, str, str, timedelta]], songs: list[tuple[str, str | None]] = (),  # type: ignore[assignment]
    previous: list[tuple[str, int]] = (),  # type: ignore[assignment]
) -> dict[str, dict[str, Any]]:  # fmt: skip
    rows = [(user, kind, item, NOW - age) for user, kind, item, age in events]
    found = trending(
        spark.createDataFrame(rows, "user_id string, event_type string, item_id string, timestamp timestamp"),
        spark.createDataFrame(list(songs), "item_id string, artist_id string"),
        spark.createDataFrame(list(previous), "item_id string, rank int"),
        as_of=NOW,
    )
    return {row["item_id"]: row.asDict() for row in found.collect()}


FRESH = timedelta(0)


def test_weights_recency_and_the_window(spark: SparkSession) -> None:
    found = chart(
        spark,
        [
            ("a", "listen", "track:1", FRESH), ("a", "click", "track:2", FRESH), ("a", "view", "track:3", FRESH),
            ("a", "listen", "track:4", HALF_LIFE), ("a", "listen", "track:5", timedelta(minutes=61)),
            ("a", "view", "track:6", -timedelta(minutes=4)),
        ],
    )  # fmt: skip
    assert {item: row["score"] for item, row in found.items()} == {
        "track:1": 3.0, "track:2": 2.0, "track:4": 1.5, "track:3": 1.0, "track:6": 1.0,
    }  # fmt: skip
    assert [found[f"track:{n}"]["rank"] for n in (1, 2, 4, 3, 6)] == [1, 2, 3, 4, 5]
    assert {row["as_of"].replace(tzinfo=UTC) for row in found.values()} == {NOW}


def test_one_listener_on_repeat_moves_no_chart(spark: SparkSession) -> None:
    bot = [("bot", "listen", "track:bot", FRESH)] * 500
    people = [(f"p{n}", "listen", "track:people", FRESH) for n in range(3)]
    found = chart(spark, bot + people)
    assert found["track:bot"]["score"] == LISTENER_CAP
    assert (found["track:bot"]["events"], found["track:bot"]["listeners"]) == (500, 1)
    assert (found["track:people"]["rank"], found["track:bot"]["rank"]) == (1, 2)


def test_artists_of_tracks_and_the_rank_before(spark: SparkSession) -> None:
    found = chart(
        spark,
        [("a", "listen", "track:1", FRESH), ("b", "view", "track:2", FRESH), ("b", "view", "artist:y", FRESH)],
        songs=[("track:1", "artist:x"), ("track:2", "artist:y"), ("track:3", "artist:z"), ("track:4", None)],
        previous=[("track:2", 1), ("track:9", 2)],
    )
    assert {item: (row["rank"], row["score"]) for item, row in found.items()} == {
        "track:1": (1, 3.0), "track:2": (2, 1.0), "artist:x": (1, 3.0), "artist:y": (2, 2.0),
    }  # fmt: skip
    assert (found["track:2"]["previous_rank"], found["track:1"]["previous_rank"]) == (1, None)
