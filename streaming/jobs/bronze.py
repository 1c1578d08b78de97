"""`stream_kafka_to_bronze`: every message as it came.

A bounded read from where each table ends to where its topic ends. The rows carry their positions, so the table itself
says where to go on and there is no checkpoint that could be lost or disagree.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

import structlog
from pyspark.sql import functions as sf

from streaming.jobs import metrics
from streaming.jobs.silver import required_topics
from streaming.lake import Lake
from streaming.ledger import Partition
from streaming.sinks.delta import Write, append
from streaming.spark import KAFKA_SOURCE
from streaming.tables import Table, tables
from streaming.topics import Topic, topics
from streaming.transforms.messages import as_messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, SparkSession

    from streaming.settings import Settings
    from streaming.topics.admin import TopicState

NAME: Final = "stream_kafka_to_bronze"

log = structlog.get_logger()


class BronzeStream:
    """The job; between runs it remembers where each table ends.

    The caller holds the lease.
    """

    def __init__(self, settings: Settings, spark: SparkSession) -> None:
        self._settings = settings
        self._spark = spark
        self._lake = Lake(settings.lake_root)
        self._ends = {at: end for topic in topics().values() for at, end in _table_ends(self._lake, topic).items()}

    def run(self) -> dict[str, int]:
        """Append what came since the last run; return the offsets taken in by table id."""
        started = time.monotonic()
        states = required_topics(self._settings.bootstrap_servers)
        added = {
            table.id: count
            for name, state in states.items()
            for table in (tables()[f"bronze/{topics()[name].table}"],)
            if (count := self._take(topics()[name], table, state))
        }
        metrics.BATCH_SECONDS.labels(NAME).observe(time.monotonic() - started)
        metrics.LAST_BATCH.labels(NAME).set_to_current_time()
        log.info("batch_committed", query=NAME, seconds=round(time.monotonic() - started, 2), **added)
        return added

    def _take(self, topic: Topic, table: Table, state: TopicState) -> int:
        first = {
            number: self._ends.get(Partition(state.topic_id, number), oldest)
            for number, oldest in state.first_offsets.items()
        }
        rows = sum(state.end_offsets.values()) - sum(first.values())
        if not rows:
            return 0
        messages = as_messages(self._read(topic.name, first, state.end_offsets))
        # The sum of the end offsets only grows, so a second writer of the same range is dropped.
        write = Write(
            app_id=f"{NAME}/{state.topic_id}",
            version=sum(state.end_offsets.values()),
            note={"query": NAME, "end_offsets": state.end_offsets},
        )
        frame = messages.withColumn("kafka_topic_id", sf.lit(state.topic_id))
        append(frame, table, self._settings.lake_root, write=write, rows=rows)
        self._ends.update({Partition(state.topic_id, number): end for number, end in state.end_offsets.items()})
        metrics.ROWS.labels(NAME, topic.name, "stored").inc(rows)
        return rows

    def _read(self, topic: str, first: Mapping[int, int], end: Mapping[int, int]) -> DataFrame:
        return (
            self._spark.read.format("kafka")
            .options(**KAFKA_SOURCE)
            .option("kafka.bootstrap.servers", self._settings.bootstrap_servers)
            .option("subscribe", topic)
            .option("startingOffsets", json.dumps({topic: first}))
            .option("endingOffsets", json.dumps({topic: end}))
            .load()
        )


def _table_ends(lake: Lake, topic: Topic) -> dict[Partition, int]:
    rows = lake.read(tables()[f"bronze/{topic.table}"], ["kafka_topic_id", "kafka_partition", "kafka_offset"])
    ends = rows.group_by(["kafka_topic_id", "kafka_partition"]).aggregate([("kafka_offset", "max")])
    return {
        Partition(row["kafka_topic_id"], row["kafka_partition"]): int(row["kafka_offset_max"]) + 1
        for row in ends.to_pylist()
    }
