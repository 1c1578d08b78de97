"""`stream_kafka_to_silver` on Spark: every topic to its silver table, once; what cannot go there to the dead letters.

One query reads all topics. Spark's tasks stage a batch where its messages are; the driver gets a mark of each message,
decides and commits (`streaming.jobs.intake`).
"""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from pyspark.errors import StreamingQueryException

from streaming.errors import UnavailableError
from streaming.jobs.checkpoint import Checkpoint, open_checkpoint
from streaming.jobs.intake import NAME, Intake
from streaming.lake import Lake
from streaming.ledger import Partition, end_offsets
from streaming.spark import KAFKA_SOURCE
from streaming.topics.admin import TopicGuard, required_topics
from streaming.transforms.messages import as_messages, at_positions, stage_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from streaming.settings import Settings

_ROWS_PER_TASK: Final = 20_000
"""Below this a second task costs more than it saves, and leaves a second small file in every table."""

log = structlog.get_logger()


class SparkSilver:
    """The query. The caller holds the lease.

    Args:
        settings: where things are.
        spark: the session.
        on_batch: told the rows added by table id after each commit.

    Raises:
        HaltedError: silver is halted, and nobody resumed it.
    """

    def __init__(
        self, settings: Settings, spark: SparkSession, *, on_batch: Callable[[Mapping[str, int]], None] | None = None
    ) -> None:
        self._settings = settings
        self._spark = spark
        self._topics = required_topics(settings.bootstrap_servers)
        home = settings.checkpoint_root / NAME
        self._checkpoint: Checkpoint = open_checkpoint(home, self._topics, end_offsets(Lake(settings.storage)))
        self._intake = Intake(
            settings,
            self._topics,
            start=self._checkpoint.start,
            on_batch=on_batch,
            guard=TopicGuard(settings.bootstrap_servers, self._checkpoint.topic_ids).check,
        )
        self._turn = threading.Lock()
        self._stopping = False
        self._query: StreamingQuery | None = None
        self._failure: Exception | None = None

    @property
    def ends(self) -> dict[Partition, int]:
        """Where the ledger ends, by partition."""
        return self._intake.ends

    @property
    def active(self) -> bool:
        """Whether the query runs."""
        return self._query is not None and self._query.isActive

    @property
    def failure(self) -> Exception | None:
        """Why the query ended by itself."""
        if self._failure is not None or self._query is None:
            return self._failure
        return self._query.exception()

    def start(self, *, once: bool = False) -> None:
        """Start the query.

        Args:
            once: take in what is there and end, instead of going on for ever.
        """
        start = {
            name: {
                str(number): self._checkpoint.start[Partition(state.topic_id, number)] for number in state.end_offsets
            }
            for name, state in self._topics.items()
        }
        kafka = (
            self._spark.readStream.format("kafka")
            .options(**KAFKA_SOURCE)
            .option("kafka.bootstrap.servers", self._settings.bootstrap_servers)
            .option("subscribe", ",".join(self._topics))
            .option("startingOffsets", json.dumps(start))
            .option("maxOffsetsPerTrigger", self._settings.max_offsets_per_trigger)
            .load()
        )
        writer = kafka.writeStream.queryName(NAME).option("checkpointLocation", str(self._checkpoint.path / "spark"))
        writer = writer.foreachBatch(self._take)
        if once:
            writer = writer.trigger(availableNow=True)
        else:
            writer = writer.trigger(processingTime=f"{self._settings.silver_interval_seconds} seconds")
        self._query = writer.start()

    def run(self) -> None:
        """Take in what is there now and end."""
        self.start(once=True)
        try:
            assert self._query is not None
            self._query.awaitTermination()
        except StreamingQueryException as error:
            raise self._failure or error from error
        finally:
            self.stop()

    def stop(self) -> None:
        """Let the batch in progress end, then stop the query and release the index."""
        self._stopping = True
        with self._turn:
            if self._query is not None:
                self._query.stop()
        self._intake.close()

    def _take(self, frame: DataFrame, batch_id: int) -> None:
        try:
            with self._turn:
                self._refuse_when_stopping()
                self._process(frame, batch_id)
        except Exception as error:
            self._failure = error
            raise

    def _refuse_when_stopping(self) -> None:
        if self._stopping:
            # An error, because a batch that returns counts as done in Spark's log.
            raise UnavailableError("the stream stops before this batch")

    def _process(self, frame: DataFrame, batch_id: int) -> None:
        planned = self._checkpoint.end_of(batch_id)
        rows = sum(end - first for first, end in self._intake.ranges(planned).values())
        if not rows:
            log.info("batch_known", query=NAME, batch_id=batch_id)
            return
        started, now = time.monotonic(), datetime.now(UTC)
        messages = as_messages(frame)
        pieces = stage_messages(
            messages,
            topic_ids=self._checkpoint.topic_ids,
            now=now,
            storage=self._settings.storage,
            claimed=self._intake.claimed,
            tasks=min(self._spark.sparkContext.defaultParallelism, 1 + rows // _ROWS_PER_TASK),
        )
        raw = partial(at_positions, messages)
        self._intake.take(pieces, planned, now=now, raw=raw, staging_seconds=time.monotonic() - started)
