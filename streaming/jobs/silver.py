"""`stream_kafka_to_silver`: every topic to its silver table, once; what cannot go there to the dead letters.

One query reads all topics. A batch is parsed and held; positions, ids and hashes come to the driver, which decides
each position's outcome; then rows are written, and the ledger last. Nothing here relies on a write having
happened or not: after any kill the next start reads from the tables what is there.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa
import structlog
from pyspark import StorageLevel
from pyspark.errors import StreamingQueryException
from pyspark.sql import functions as sf

from streaming.claims import ClaimIndex
from streaming.errors import IntegrityError, UnavailableError
from streaming.jobs import metrics
from streaming.jobs.batch import COLUMNS, Decision, Fate, decide, ledger_row
from streaming.jobs.checkpoint import Checkpoint, begins, open_checkpoint
from streaming.jobs.recovery import Written, catch_up, read_written
from streaming.lake import Lake
from streaming.ledger import Partition, end_offsets
from streaming.parse import Reason
from streaming.sinks.delta import Write, append, append_arrow, upsert
from streaming.spark import KAFKA_SOURCE
from streaming.tables import LEDGER, Table, tables
from streaming.topics import topics
from streaming.topics.admin import TopicState, describe
from streaming.transforms.messages import as_messages, parse_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from streaming.settings import Settings

NAME: Final = "stream_kafka_to_silver"

_FATES: Final = pa.schema(
    [("topic", pa.string()), ("kafka_partition", pa.int32()), ("kafka_offset", pa.int64()), ("fate", pa.string())]
)
_OTHER_LISTENER: Final = "another listener sent this event_id first"

log = structlog.get_logger()


class SilverStream:
    """The query and what it needs to know between batches.

    The caller holds the lease.

    Args:
        settings: where things are.
        spark: the session.
        on_batch: told the rows added by table id after each commit.
    """

    def __init__(
        self, settings: Settings, spark: SparkSession, *, on_batch: Callable[[Mapping[str, int]], None] | None = None
    ) -> None:
        self._settings = settings
        self._spark = spark
        self._root = settings.lake_root
        self._lake = Lake(self._root)
        self._on_batch = on_batch or (lambda _added: None)
        self._topics = required_topics(settings.bootstrap_servers)
        self._names = {state.topic_id: name for name, state in self._topics.items()}
        home = settings.checkpoint_root / NAME
        ledger = end_offsets(self._lake)
        self._checkpoint: Checkpoint = open_checkpoint(home, self._topics, ledger)
        self._ends = {**begins(self._topics, ledger), **self._checkpoint.start, **_of(ledger, self._names)}
        self._written: Written = read_written(self._lake, self._ends)
        # A half-done batch may be judged otherwise now than then; under its old app id Delta would drop the rest of it.
        self._app_id = self._checkpoint.query_id + (f"/{time.time_ns()}" if self._written else "")
        self._index = ClaimIndex(home / "claims")
        catch_up(self._index, self._lake, {**ledger, **self._ends})
        self._turn = threading.Lock()
        self._stopping = False
        self.failure: Exception | None = None

    @property
    def ends(self) -> dict[Partition, int]:
        """Where the ledger ends, by partition."""
        return dict(self._ends)

    def start(self, *, once: bool) -> StreamingQuery:
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
            return writer.trigger(availableNow=True).start()
        return writer.trigger(processingTime=f"{self._settings.silver_interval_seconds} seconds").start()

    def run(self) -> None:
        """Take in what is there now and end."""
        query = self.start(once=True)
        try:
            query.awaitTermination()
        except StreamingQueryException as error:
            raise self.failure or error from error
        finally:
            self.stop(query)

    def stop(self, query: StreamingQuery) -> None:
        """Let the batch in progress end, then stop the query and release the index."""
        self._stopping = True
        with self._turn:
            query.stop()
        self._index.close()

    def _take(self, frame: DataFrame, batch_id: int) -> None:
        try:
            with self._turn:
                self._refuse_when_stopping()
                self.process(frame, batch_id)
        except Exception as error:
            self.failure = error
            raise

    def _refuse_when_stopping(self) -> None:
        if self._stopping:
            # An error, because a batch that returns counts as done in Spark's log.
            raise UnavailableError("the stream stops before this batch")

    def process(self, frame: DataFrame, batch_id: int) -> None:
        """Take in one batch.

        Raises:
            IntegrityError: the batch does not continue the ledger, or its outcomes do not add up.
        """
        planned = self._checkpoint.end_of(batch_id)
        ranges = {at: (self._ends[at], end) for at, end in planned.items() if end != self._ends[at]}
        if not ranges:
            log.info("batch_known", query=NAME, batch_id=batch_id)
            return
        started = time.monotonic()
        now = datetime.now(UTC)
        parsed = parse_messages(as_messages(frame), topic_ids=self._checkpoint.topic_ids, now=now)
        parsed = parsed.withColumn("ingested_at", sf.lit(now)).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            decision = decide(parsed.select(*COLUMNS).toArrow(), self._index, self._written)
            rows = self._ledger_rows(ranges, decision)
            ends = {f"{self._names[at.topic_id]}-{at.partition}": end for at, end in planned.items()}
            write = Write(app_id=self._app_id, version=batch_id, note={"query": NAME, "end_offsets": ends})
            self._write_tables(parsed, decision, write)
        finally:
            parsed.unpersist()
        about = {"query": NAME, "batch_id": batch_id, "committed_at": datetime.now(UTC)}
        entries = pa.Table.from_pylist([{**row, **about} for row in rows], LEDGER.schema)
        append_arrow(entries, LEDGER, self._root, write=write)
        self._ends.update(planned)
        self._index.add(decision.claims, planned)
        self._tell(rows, decision, seconds=time.monotonic() - started)

    def _ledger_rows(self, ranges: Mapping[Partition, tuple[int, int]], decision: Decision) -> list[dict[str, Any]]:
        unplanned = decision.counts.keys() - ranges.keys()
        if unplanned:
            raise IntegrityError(f"messages of {sorted(unplanned)} were read, which the batch did not plan")
        return [
            ledger_row(self._names[at.topic_id], at, first=first, end=end, counts=decision.counts[at])
            for at, (first, end) in ranges.items()
        ]

    def _write_tables(self, parsed: DataFrame, decision: Decision, write: Write) -> None:
        marked = _mark(parsed, decision)
        registry = tables()
        # A commit waits more than it works: two at a time.
        with ThreadPoolExecutor(2, thread_name_prefix="commit") as pool:
            writes = [
                pool.submit(self._write_table, marked, registry[table_id], rows=rows, write=write)
                for table_id, rows in decision.new_rows.items()
            ]
        for done in writes:
            done.result()

    def _write_table(self, marked: DataFrame, table: Table, *, rows: int, write: Write) -> None:
        mine = marked.where(sf.col("topic") == sf.lit(table.topic))
        if table.layer == "deadletter":
            append_arrow(_dead(mine).select(*table.schema.names).toArrow(), table, self._root, write=write)
        elif table.topic is not None and topics()[table.topic].compacted:
            upsert(_last_values(_good(mine), table), table, self._root)
        else:
            append(_good(mine), table, self._root, write=write, rows=rows)

    def _tell(self, rows: list[dict[str, Any]], decision: Decision, *, seconds: float) -> None:
        for row in rows:
            for outcome in ("stored", "duplicate", "dead_lettered"):
                metrics.ROWS.labels(NAME, row["topic"], outcome).inc(row[outcome])
        metrics.BATCH_SECONDS.labels(NAME).observe(seconds)
        metrics.LAST_BATCH.labels(NAME).set_to_current_time()
        received = sum(row["received"] for row in rows)
        log.info("batch_committed", query=NAME, received=received, seconds=round(seconds, 2), **decision.new_rows)
        self._on_batch({**decision.new_rows, LEDGER.id: len(rows)})


def required_topics(bootstrap_servers: str) -> dict[str, TopicState]:
    """Return the broker's topics.

    Raises:
        UnavailableError: one of the registered topics is missing.
    """
    found = describe(bootstrap_servers)
    missing = topics().keys() - found.keys()
    if missing:
        raise UnavailableError(
            f"the broker has no topic {', '.join(sorted(missing))}; create them with `music topics apply`"
        )
    return found


def _of(ledger: Mapping[Partition, int], names: Mapping[str, str]) -> dict[Partition, int]:
    return {at: end for at, end in ledger.items() if at.topic_id in names}


def _mark(parsed: DataFrame, decision: Decision) -> DataFrame:
    """Add `fate`: null where a row's content decides where it goes."""
    if not decision.fates:
        return parsed.withColumn("fate", sf.lit(None).cast("string"))
    columns = list(zip(*decision.fates, strict=True))
    fates = pa.table([pa.array(column, kind.type) for column, kind in zip(columns, _FATES, strict=True)], _FATES)
    return parsed.join(parsed.sparkSession.createDataFrame(fates), on=_FATES.names[:3], how="left")


def _good(rows: DataFrame) -> DataFrame:
    return rows.where(sf.col("reason").isNull() & sf.col("fate").isNull())


def _dead(rows: DataFrame) -> DataFrame:
    other = sf.col("fate") == sf.lit(Fate.OTHER_LISTENER.value)
    dead = rows.where((sf.col("reason").isNotNull() & sf.col("fate").isNull()) | other)
    blame: dict[Literal["reason", "field", "detail"], str] = {
        "reason": Reason.EVENT_ID_OF_ANOTHER_LISTENER.value,
        "field": "event_id",
        "detail": _OTHER_LISTENER,
    }
    return dead.withColumns(
        {name: sf.when(other, sf.lit(value)).otherwise(sf.col(name)) for name, value in blame.items()}
    )


def _last_values(rows: DataFrame, table: Table) -> DataFrame:
    """One row per key: the one of the highest offset, with `deleted`."""
    columns = [*table.schema.names, "deleted"]
    newest = rows.groupBy(*table.key).agg(sf.max_by(sf.struct(*columns), "kafka_offset").alias("last"))
    return newest.select("last.*").withColumn("deleted", sf.coalesce("deleted", sf.lit(False)))  # noqa: FBT003
