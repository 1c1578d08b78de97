"""`stream_trending_to_gold`: the chart of the last hour, computed again from silver at each tick.

Computed again, not kept as running windows: a late event counts as soon as silver has it, and none holds a window open.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Final

import structlog
from pyspark.sql import DataFrame

from streaming.jobs import metrics
from streaming.lake import Lake
from streaming.sinks.delta import overwrite
from streaming.tables import TRENDING_1H, silver
from streaming.topics import event_topics
from streaming.transforms.trending import WEIGHTS, trending

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from streaming.settings import Settings
    from streaming.tables import Table

NAME: Final = "stream_trending_to_gold"

log = structlog.get_logger()


class TrendingStream:
    """The job. The caller holds the lease."""

    def __init__(self, settings: Settings, spark: SparkSession) -> None:
        self._root = settings.lake_root
        self._spark = spark

    def run(self) -> dict[str, int]:
        """Compute the chart as of now and replace the one before; return its rows by table id."""
        started = time.monotonic()
        as_of = datetime.now(UTC)
        counted = [self._read(silver(topic.table)) for topic in event_topics() if topic.event_type in WEIGHTS]
        columns = ("user_id", "event_type", "item_id", "timestamp")
        events = reduce(DataFrame.unionByName, [frame.select(*columns) for frame in counted])
        chart = trending(events, self._read(silver("catalog_songs")), self._read(TRENDING_1H), as_of=as_of)
        overwrite(chart, TRENDING_1H, self._root, note={"query": NAME, "as_of": as_of.isoformat()})
        rows = Lake(self._root).count(TRENDING_1H)
        seconds = time.monotonic() - started
        metrics.BATCH_SECONDS.labels(NAME).observe(seconds)
        metrics.LAST_BATCH.labels(NAME).set_to_current_time()
        log.info("batch_committed", query=NAME, rows=rows, seconds=round(seconds, 2))
        return {TRENDING_1H.id: rows}

    def _read(self, table: Table) -> DataFrame:
        return self._spark.read.format("delta").load(str(table.path(self._root)))
