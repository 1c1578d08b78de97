"""What is being played now: a score per item from the last hour's events."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as sf
from pyspark.sql.window import Window

if TYPE_CHECKING:
    from datetime import datetime

    from pyspark.sql import Column, DataFrame

WEIGHTS: Final[dict[str, float]] = {"view": 1.0, "click": 2.0, "listen": 3.0}
"""What one event is worth when it has just happened: the more it costs a listener, the more it says."""

WINDOW: Final = timedelta(hours=1)
"""Events older than this do not count."""

HALF_LIFE: Final = timedelta(minutes=15)
"""After this an event is worth half, so that the order follows the last quarter of an hour."""

LISTENER_CAP: Final = 6.0
"""The most one listener adds to an item: two fresh listens. A bot on repeat moves no chart."""

TOP: Final = 1000
"""Ranks that are kept of each kind of item."""


def trending(events: DataFrame, songs: DataFrame, previous: DataFrame, *, as_of: datetime) -> DataFrame:
    """Return the chart of the last hour, one row per item and per artist of a track.

    Every item is ranked within its kind by score, ties by item id.

    Args:
        events: `user_id`, `event_type`, `item_id`, `timestamp`.
        songs: `item_id`, `artist_id`; says whose a track is.
        previous: the chart before, `item_id` and `rank`.
        as_of: end of the hour, with a zone.

    Returns:
        The columns of `gold/trending_now_1h`.
    """
    recent = events.where(sf.col("timestamp") > sf.lit(as_of - WINDOW)).withColumn("value", _value(as_of))
    per_listener = (
        recent.unionByName(_of_artists(recent, songs))
        .groupBy("item_id", "user_id")
        .agg(sf.least(sf.sum("value"), sf.lit(LISTENER_CAP)).alias("value"), sf.count("*").alias("events"))
    )
    scores = per_listener.groupBy("item_id").agg(
        sf.round(sf.sum("value"), 9).alias("score"),
        sf.count("*").alias("listeners"),
        sf.sum("events").alias("events"),
    )
    ranked = _rank(scores.withColumn("item_kind", sf.substring_index("item_id", ":", 1)))
    before = previous.select("item_id", sf.col("rank").alias("previous_rank"))
    return ranked.join(before, on="item_id", how="left").withColumn("as_of", sf.lit(as_of))


def _value(as_of: datetime) -> Column:
    weight = sf.coalesce(*(sf.when(sf.col("event_type") == kind, sf.lit(value)) for kind, value in WEIGHTS.items()))
    # A clock that runs ahead must not make an event worth more than a fresh one.
    age = sf.greatest(sf.lit(as_of).cast("double") - sf.col("timestamp").cast("double"), sf.lit(0.0))
    return weight * sf.pow(sf.lit(2.0), -age / sf.lit(HALF_LIFE.total_seconds()))


def _of_artists(events: DataFrame, songs: DataFrame) -> DataFrame:
    """The same events, counted for the artists of the tracks."""
    artists = songs.where(sf.col("artist_id").isNotNull()).select("item_id", "artist_id")
    return events.join(artists, on="item_id").drop("item_id").withColumnRenamed("artist_id", "item_id")


def _rank(scores: DataFrame) -> DataFrame:
    order = Window.partitionBy("item_kind").orderBy(sf.desc("score"), "item_id")
    return scores.withColumn("rank", sf.dense_rank().over(order)).where(sf.col("rank") <= TOP)
