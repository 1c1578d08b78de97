"""The second engine (`STREAM_ENGINE=python`): the same jobs in one process without a JVM, for a small machine.

Staging, deciding and committing are the code of the Spark jobs; only who reads the messages differs. There is no
checkpoint: the ledger says where to go on.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from streaming.jobs.consume import TopicReader
from streaming.jobs.intake import Intake, Positions
from streaming.ledger import Partition
from streaming.pieces import Piece
from streaming.staging import stage, stage_raw
from streaming.topics.admin import TopicGuard, required_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set

    from streaming.jobs.bronze import Ranges
    from streaming.settings import Settings

_MOST: Final = 100_000
"""Messages of a batch: they are all in memory at once."""
_STOP_SECONDS: Final = 120.0


class PythonSilver:
    """Silver in a thread of this process. The caller holds the lease.

    Args:
        settings: where things are.
        on_batch: told the rows added by table id after each commit.

    Raises:
        HaltedError: silver is halted, and nobody resumed it.
    """

    def __init__(self, settings: Settings, *, on_batch: Callable[[Mapping[str, int]], None] | None = None) -> None:
        self._settings = settings
        self._topics = required_topics(settings.bootstrap_servers)
        topic_ids = {name: state.topic_id for name, state in self._topics.items()}
        guard = TopicGuard(settings.bootstrap_servers, topic_ids).check
        self._intake = Intake(settings, self._topics, on_batch=on_batch, guard=guard)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="silver", daemon=True)
        self.failure: Exception | None = None

    @property
    def ends(self) -> dict[Partition, int]:
        """Where the ledger ends, by partition."""
        return self._intake.ends

    @property
    def active(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start taking in what comes, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Let the batch in progress end and release the index."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)
        self._intake.close()

    def run(self) -> None:
        """Take in what is there now and end."""
        targets = {
            (name, number): end for name, state in self._topics.items() for number, end in state.end_offsets.items()
        }
        reader = self._reader()
        try:
            while any(reader.ends[at] < end for at, end in targets.items()):
                self._batch(reader)
        finally:
            reader.close()
            self._intake.close()

    def _work(self) -> None:
        try:
            reader = self._reader()
            try:
                while not self._stopping.is_set():
                    self._batch(reader)
            finally:
                reader.close()
        except Exception as error:
            self.failure = error

    def _reader(self) -> TopicReader:
        ends = self._intake.ends
        starts = {
            (name, number): ends[Partition(state.topic_id, number)]
            for name, state in self._topics.items()
            for number in state.end_offsets
        }
        return TopicReader(self._settings.bootstrap_servers, starts)

    def _batch(self, reader: TopicReader) -> None:
        most = min(_MOST, self._settings.max_offsets_per_trigger)
        batches = reader.read(most, seconds=self._settings.silver_interval_seconds, stop=self._stopping.is_set)
        if not batches:
            return
        planned = {Partition(self._topics[name].topic_id, number): end for (name, number), end in reader.ends.items()}
        started, now = time.monotonic(), datetime.now(UTC)
        staged = stage(
            batches,
            topic_ids=self._intake.topic_ids,
            now=now,
            storage=self._settings.storage,
            claimed=self._intake.claimed,
        )
        pieces = list(staged)
        self._intake.take(
            pieces, planned, now=now, raw=partial(at_positions, batches), staging_seconds=time.monotonic() - started
        )


def at_positions(batches: list[pa.RecordBatch], topic: str, positions: Positions) -> pa.Table:
    """Return the messages of a topic at some positions."""
    wanted = pa.Table.from_pydict(
        {
            "kafka_partition": pa.array([partition for partition, _ in positions], pa.int32()),
            "kafka_offset": pa.array([offset for _, offset in positions], pa.int64()),
        }
    )
    found = []
    for batch in batches:
        if batch.column("topic")[0].as_py() != topic:
            continue
        keys = pa.Table.from_batches([batch.select(wanted.column_names)]).append_column(
            "row", pa.array(range(batch.num_rows), pa.int64())
        )
        rows = keys.join(wanted, wanted.column_names, join_type="inner").column("row")
        found.append(batch.take(rows.combine_chunks()))
    return pa.Table.from_batches(found)


def read_archive(
    settings: Settings, ranges: Ranges, topic_ids: Mapping[str, str], forgotten: Set[bytes]
) -> list[Piece]:
    """Read ranges of topics and stage them for bronze.

    Args:
        settings: where the broker and the lake are.
        ranges: what to read.
        topic_ids: the broker's id of each topic.
        forgotten: hashes of the listeners of whom nothing is kept.
    """
    every = {(topic, number): span for topic, spans in ranges.items() for number, span in spans.items()}
    reader = TopicReader(settings.bootstrap_servers, {at: first for at, (first, _) in every.items()})
    try:
        batches = reader.read_to({at: end for at, (_, end) in every.items()})
    finally:
        reader.close()
    return list(stage_raw(batches, topic_ids=topic_ids, forgotten=frozenset(forgotten), storage=settings.storage))
