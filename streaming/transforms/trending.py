"""A chart as a Spark plan: each listener's events come together, then each item's sums."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as sf
from pyspark.sql.pandas.types import from_arrow_schema

from streaming.events import ItemKind
from streaming.transforms.charts import EVENTS, SCORES, contributions, top

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pyspark.sql import Column, DataFrame

    from streaming.trending import Window


def trending(events: DataFrame, owners: DataFrame, *, window: Window, as_of: datetime, partitions: int) -> DataFrame:
    """Return `SCORES` of every item that can be in the chart.

    Args:
        events: `user_id`, `event_type`, `item_id`, `timestamp`.
        owners: see `owners`.
        window: the rules.
        as_of: end of the window, with a zone.
        partitions: shares of listeners; a Python worker holds one of them at a time.
    """
    recent = events.where(
        (sf.col("timestamp") > sf.lit(as_of - window.length)) & (sf.col("timestamp") <= sf.lit(as_of))
    )
    owned = recent.join(owners, on="item_id", how="left").select(*EVENTS.names)
    add = partial(_contributions, window=window, as_of=as_of)
    added = owned.repartition(partitions, "user_id").mapInArrow(add, from_arrow_schema(SCORES))
    sums = [sf.sum(name).alias(name) for name in SCORES.names[1:]]
    return added.groupBy("item_id").agg(*sums).mapInArrow(_top, from_arrow_schema(SCORES))


def owners(songs: DataFrame, albums: DataFrame) -> DataFrame:
    """Return `item_id`, `artist_id` and `album_id` of the catalogue's tracks and albums."""
    nothing = sf.lit(None).cast("string").alias("album_id")
    return (
        songs.where(_is(ItemKind.TRACK))
        .select("item_id", "artist_id", "album_id")
        .unionByName(albums.where(_is(ItemKind.ALBUM)).select("item_id", "artist_id", nothing))
    )


def _is(kind: ItemKind) -> Column:
    return sf.col("item_id").startswith(f"{kind}:")


def _contributions(batches: Iterable[pa.RecordBatch], *, window: Window, as_of: datetime) -> Iterable[pa.RecordBatch]:
    yield from contributions(batches, window=window, as_of=as_of).to_batches()


def _top(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    yield from top(pa.Table.from_batches(batches, SCORES)).to_batches()
