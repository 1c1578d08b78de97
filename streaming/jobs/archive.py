"""Reads ranges of topics with Spark: the feed of bronze."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from streaming.spark import KAFKA_SOURCE
from streaming.transforms.messages import as_messages, stage_archive

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from pyspark.sql import SparkSession

    from streaming.jobs.bronze import Ranges
    from streaming.pieces import Piece
    from streaming.settings import Settings

_ROWS_PER_TASK: Final = 100_000


def read_archive(
    settings: Settings, spark: SparkSession, ranges: Ranges, topic_ids: Mapping[str, str], forgotten: Set[bytes]
) -> list[Piece]:
    """Read ranges of topics and stage them for bronze.

    Args:
        settings: where the broker and the lake are.
        spark: the session.
        ranges: what to read.
        topic_ids: the broker's id of each topic.
        forgotten: hashes of the listeners of whom nothing is kept.
    """
    first = {topic: {str(at): span[0] for at, span in spans.items()} for topic, spans in ranges.items()}
    end = {topic: {str(at): span[1] for at, span in spans.items()} for topic, spans in ranges.items()}
    rows = sum(span[1] - span[0] for spans in ranges.values() for span in spans.values())
    tasks = min(spark.sparkContext.defaultParallelism, 1 + rows // _ROWS_PER_TASK)
    kafka = (
        spark.read.format("kafka")
        .options(**KAFKA_SOURCE)
        .option("kafka.bootstrap.servers", settings.bootstrap_servers)
        .option("assign", json.dumps({topic: sorted(spans) for topic, spans in ranges.items()}))
        .option("startingOffsets", json.dumps(first))
        .option("endingOffsets", json.dumps(end))
        .load()
    )
    return stage_archive(
        as_messages(kafka), topic_ids=topic_ids, forgotten=forgotten, storage=settings.storage, tasks=tasks
    )
