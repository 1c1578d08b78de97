"""Bare Spark on the same topics: what the engine does when nothing is kept, checked or promised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
from pyspark.sql import functions as sf
from pyspark.sql.pandas.types import from_arrow_schema

from music_assets.bench.sample import Outcome
from streaming.errors import IntegrityError
from streaming.events import EVENT_MODELS
from streaming.spark import KAFKA_SOURCE
from streaming.tables import arrow_schema
from streaming.topics import event_topics

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from streaming.settings import Settings

_CASTS: Final = ("topic", "partition", "offset", "timestamp AS kafka_timestamp")


def noop(spark: SparkSession, settings: Settings, folder: Path, *, rows: int) -> Outcome:
    """Read every message and drop it, with the options of the product's own source."""
    return _drain(_source(spark, settings), "noop", folder, rows=rows)


def json_noop(spark: SparkSession, settings: Settings, folder: Path, *, rows: int) -> Outcome:
    """Parse every message by `from_json` and drop it."""
    return _drain(_parsed(_source(spark, settings)), "noop", folder, rows=rows)


def json_parquet(spark: SparkSession, settings: Settings, folder: Path, *, rows: int) -> Outcome:
    """Parse every message by `from_json` and write it as Parquet; a bad one becomes a row of nulls."""
    return _drain(_parsed(_source(spark, settings)), "parquet", folder, rows=rows)


def _source(spark: SparkSession, settings: Settings) -> DataFrame:
    return (
        spark.readStream.format("kafka")
        .options(**KAFKA_SOURCE)
        .option("kafka.bootstrap.servers", settings.bootstrap_servers)
        .option("subscribe", ",".join(topic.name for topic in event_topics()))
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", settings.max_offsets_per_trigger)
        .load()
    )


def _parsed(messages: DataFrame) -> DataFrame:
    models = [arrow_schema(model) for model in EVENT_MODELS.values()]
    union = pa.unify_schemas([pa.schema([field.with_nullable(nullable=True) for field in each]) for each in models])
    event = sf.from_json(sf.col("value").cast("string"), from_arrow_schema(union)).alias("event")
    return messages.select(event, *(sf.expr(each) for each in _CASTS)).select("event.*", *_names())


def _names() -> list[str]:
    return [each.rpartition(" ")[2] for each in _CASTS]


def _drain(frame: DataFrame, sink: str, folder: Path, *, rows: int) -> Outcome:
    writer = frame.writeStream.format(sink).option("checkpointLocation", str(folder / "checkpoint"))
    if sink != "noop":
        writer = writer.option("path", str(folder / "out"))
    query = writer.trigger(availableNow=True).start()
    query.awaitTermination()
    batches = [each for each in query.recentProgress if each["numInputRows"]]
    taken = sum(each["numInputRows"] for each in batches)
    if taken != rows:
        raise IntegrityError(f"the bare query read {taken} messages of {rows}")
    # As a job's own batch seconds: the work, without Spark's planning and its offset log.
    return Outcome(rows=rows, batch_seconds=sum(each["durationMs"]["addBatch"] for each in batches) / 1000)
