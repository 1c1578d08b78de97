"""Charts by Spark: for windows that are more than one machine should hold."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Final

from pyspark.sql import DataFrame

from streaming.jobs.trending import COUNTED
from streaming.lake import Lake
from streaming.tables import silver
from streaming.transforms.charts import SCORES, ranked
from streaming.transforms.trending import owners, trending

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa
    from pyspark.sql import SparkSession

    from streaming.storage import Storage
    from streaming.tables import Table
    from streaming.trending import Window

_COLUMNS: Final = ("user_id", "event_type", "item_id", "timestamp")
_ROWS_PER_PARTITION: Final = 500_000
"""What a Python worker holds of a shuffle at most, skew aside: some 50 MB."""


class SparkCharts:
    """The engine.

    Args:
        storage: where the lake lies.
        spark: the session.
    """

    def __init__(self, storage: Storage, spark: SparkSession) -> None:
        self._lake = Lake(storage)
        self._spark = spark

    def chart(self, window: Window, as_of: datetime) -> pa.Table:
        """See `streaming.jobs.trending.Engine`."""
        after = as_of - window.length
        rows = sum(self._lake.count_between(table, "timestamp", after=after, until=as_of) for table in COUNTED)
        if not rows:
            return ranked(SCORES.empty_table())
        holding = [("timestamp", ">", after.isoformat()), ("timestamp", "<=", as_of.isoformat())]
        read = [self._read(table, holding).select(*_COLUMNS) for table in COUNTED]
        events = reduce(DataFrame.unionByName, read)
        catalogue = owners(self._read(silver("catalog_songs")), self._read(silver("catalog_albums")))
        partitions = max(self._spark.sparkContext.defaultParallelism, -(-rows // _ROWS_PER_PARTITION))
        scores = trending(events, catalogue, window=window, as_of=as_of, partitions=partitions)
        return ranked(scores.toArrow())

    def _read(self, table: Table, holding: list[tuple[str, str, str]] | None = None) -> DataFrame:
        if self._lake.storage.format != "delta":
            return self._read_files(table, holding)
        return self._spark.read.format("delta").load(self._lake.storage.uri(table))

    def _read_files(self, table: Table, holding: list[tuple[str, str, str]] | None) -> DataFrame:
        """Read a table without a log: its files by Spark, a catalogue's last values from here."""
        rows = self._lake.dataset(table, holding)
        if table.keeps_last:
            return self._spark.createDataFrame(rows.to_table())
        return self._spark.read.parquet(*rows.files)
