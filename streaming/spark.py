"""The one place that says how Spark runs: sessions of services, runs and tests are all made from here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from streaming.settings import Settings

KAFKA_SOURCE: Final[dict[str, str]] = {
    # The connector's defaults leave a third of the speed on the table.
    "kafka.max.poll.records": "20000",
    "kafka.max.partition.fetch.bytes": str(8 << 20),
    "kafka.fetch.max.bytes": str(64 << 20),
    "kafka.receive.buffer.bytes": str(1 << 20),
    # Each task looks at its partition's end once; the broker answers that fetch when data comes or after this. At the
    # client's 500 ms twelve partitions cost every batch 3 s of waiting.
    "kafka.fetch.max.wait.ms": "10",
    # Offsets that the broker lost are an error a person must see, never a silent gap.
    "failOnDataLoss": "true",
    "includeHeaders": "true",
}
"""Options of every read from Kafka."""


def spark_config(settings: Settings) -> dict[str, str]:
    """Return the whole configuration of a session.

    Small data on few cores: two shuffle partitions, two snapshot partitions, no UI, times in UTC.
    """
    store = settings.storage.store
    jars = [jar for folder in _jar_folders(settings) for jar in sorted(folder.glob("*.jar"))]
    # Executors elsewhere must reach the driver, so Spark finds its address then (or is told in its own SPARK_LOCAL_IP).
    here = dict.fromkeys(("spark.driver.host", "spark.driver.bindAddress"), "127.0.0.1")
    s3a = {} if store is None else store.hadoop_options()
    return {
        "spark.app.name": "music",
        "spark.master": settings.spark_master,
        "spark.jars": ",".join(str(jar) for jar in jars),
        "spark.driver.memory": settings.spark_driver_memory,
        **(here if settings.spark_master.startswith("local") else {}),
        # The whole heap from the start: grown in steps, it looked like a leak for its first twenty minutes.
        "spark.driver.extraJavaOptions": f"-Xms{settings.spark_driver_memory} -XX:+AlwaysPreTouch -XX:+UseParallelGC"
        " -Duser.timezone=UTC",
        "spark.default.parallelism": "2",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.warehouse.dir": str(settings.music_home / "spark-warehouse"),
        "spark.databricks.delta.snapshotPartitions": "2",
        # At this value the size of a batch is not added up anew for every row, a fifth of the way to Python. So few
        # rows that the largest messages a topic takes still fit.
        "spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1),
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
        # Every read of Kafka keeps its consumers and what they fetched, 8 MB a partition, for the next batch of the
        # same query. Bronze is a new query each time: after the default of 5 minutes a third of the heap is theirs.
        "spark.kafka.consumer.cache.timeout": "10s",
        "spark.kafka.consumer.cache.evictorThreadRunInterval": "5s",
        "spark.kafka.consumer.fetchedData.cache.timeout": "10s",
        "spark.kafka.consumer.fetchedData.cache.evictorThreadRunInterval": "5s",
        "spark.sql.streaming.metricsEnabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "WARN",
        **{f"spark.hadoop.{name}": value for name, value in s3a.items()},
    }


def _jar_folders(settings: Settings) -> list[Path]:
    sets = ["spark"] if settings.storage.store is None else ["spark", "s3"]
    return [settings.jars_path / name for name in sets]


def session(settings: Settings) -> SparkSession:
    """Start the process's Spark session, or return it when it runs.

    Raises:
        ConfigurationError: Spark's jars are not there.
    """
    from pyspark.sql import SparkSession

    config = spark_config(settings)
    for folder in _jar_folders(settings):
        if not any(folder.glob("*.jar")):
            raise ConfigurationError(f"no jars in {folder}; fetch them with `music jars`")
    builder = SparkSession.builder
    for key, value in config.items():
        builder = builder.config(key, value)
    return adopt(builder.getOrCreate())


def adopt(spark: SparkSession) -> SparkSession:
    """Make a session, whoever started it, run Python workers on this interpreter, which has our packages."""
    spark.sparkContext.pythonExec = sys.executable
    return spark
