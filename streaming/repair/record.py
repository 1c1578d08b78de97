"""The record of what was redriven: `lake/redriven`, and the topics for what a killed run did not write down."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import structlog

from streaming.jobs.consume import TopicReader
from streaming.lake import Lake
from streaming.repair.letters import Origin, read_origin, sent_origins
from streaming.sinks.tables import Write, append_arrow, commit_files
from streaming.tables import REDRIVEN
from streaming.topics.admin import required_topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streaming.settings import Settings
    from streaming.topics.admin import TopicState

NAME: Final = "redrive"
_OPEN: Final = f"{NAME}/open"
_CLOSED: Final = f"{NAME}/closed"

_SETTLE_SECONDS: Final = 2.0
"""What a killed process had given to the kernel may still reach the broker for a moment."""
_SCAN_AT_ONCE: Final = 20_000

log = structlog.get_logger()


def row_of(topic: str, name: Origin, topic_id: str, partition: int, offset: int) -> dict[str, Any]:
    """Return a row of `lake/redriven`."""
    return {
        "topic": topic,
        "kafka_topic_id": name.topic_id,
        "kafka_partition": name.partition,
        "kafka_offset": name.offset,
        "attempt": name.attempt,
        "new_topic_id": topic_id,
        "new_partition": partition,
        "new_offset": offset,
        "sent_at": datetime.now(UTC),
    }


class Record:
    """`lake/redriven` as it is written: a counter fences its commits, two more say whether a run is open."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._version = self._held(NAME)

    def _held(self, app_id: str) -> int | None:
        return self._lake.marks(REDRIVEN, [app_id])[app_id]

    @property
    def unfinished(self) -> bool:
        """Whether a run began and did not end."""
        return self._held(_OPEN) != self._held(_CLOSED)

    def starts(self, states: Mapping[str, TopicState]) -> dict[tuple[str, int], int]:
        """Where the open run began; a topic made since holds nothing of it."""
        marks = {
            (name, number): (first, self._held(_at(state.topic_id, number)))
            for name, state in states.items()
            for number, first in state.first_offsets.items()
        }
        return {at: max(first, mark) for at, (first, mark) in marks.items() if mark is not None}

    def open(self, states: Mapping[str, TopicState]) -> None:
        """Say that a run begins, and where the topics end."""
        marks = {
            _at(state.topic_id, number): end for state in states.values() for number, end in state.end_offsets.items()
        }
        self._leave({_OPEN: (self._held(_OPEN) or 0) + 1, **marks})

    def close(self) -> None:
        """Say that all that was sent is written down."""
        self._leave({_CLOSED: self._held(_OPEN) or 0})

    def note(self, rows: list[dict[str, Any]]) -> None:
        """Write down what was sent."""
        if rows:
            content = pa.Table.from_pylist(rows, REDRIVEN.schema)
            append_arrow(content, REDRIVEN, self._lake.storage, write=self._next({}))
            self._version = (self._version or 0) + 1

    def _leave(self, versions: Mapping[str, int]) -> None:
        commit_files([], REDRIVEN, self._lake.storage, write=self._next(versions))
        self._version = (self._version or 0) + 1

    def _next(self, versions: Mapping[str, int]) -> Write:
        leaves = {NAME: (self._version or 0) + 1, **versions}
        return Write(expected={NAME: self._version}, leaves=leaves, note={"query": NAME})


def _at(topic_id: str, partition: int) -> str:
    return f"{NAME}/{topic_id}/{partition}"


def recover(settings: Settings, record: Record) -> int:
    """Write down what an unfinished run sent; return how many messages that were.

    Raises:
        UnavailableError: the broker does not answer.
        IntegrityError: the broker no longer has all that came since the run began.
    """
    if not record.unfinished:
        return 0
    time.sleep(_SETTLE_SECONDS)
    # Not before: what arrived meanwhile lies behind the ends of that moment.
    states = required_topics(settings.bootstrap_servers)
    starts = record.starts(states)
    targets = {at: required.end_offsets[at[1]] for at in starts for required in (states[at[0]],)}
    sent = {topic: sent_origins(Lake(settings.storage), topic) for topic in states}
    found = 0
    for batch in _since(settings, starts, targets):
        rows = [row for row in _redriven_in(batch, states) if _name(row) not in sent[row["topic"]]]
        for row in rows:
            sent[row["topic"]].add(_name(row))
        record.note(rows)
        found += len(rows)
    record.close()
    log.warning("unfinished_redrive_found", sent=found)
    return found


def _since(
    settings: Settings, starts: Mapping[tuple[str, int], int], targets: Mapping[tuple[str, int], int]
) -> Iterator[pa.RecordBatch]:
    waiting = {at: start for at, start in starts.items() if start < targets[at]}
    reader = TopicReader(settings.bootstrap_servers, waiting)
    try:
        while any(end < targets[at] for at, end in reader.ends.items()):
            yield from reader.read(_SCAN_AT_ONCE, seconds=0.5)
    finally:
        reader.close()


def _redriven_in(batch: pa.RecordBatch, states: Mapping[str, TopicState]) -> Iterator[dict[str, Any]]:
    marked = batch.filter(batch.column("headers").is_valid())
    columns = ["topic", "kafka_partition", "kafka_offset", "headers"]
    for row in marked.select(columns).to_pylist():
        name = read_origin(row["headers"])
        if name is not None:
            topic_id = states[row["topic"]].topic_id
            yield row_of(row["topic"], name, topic_id, row["kafka_partition"], row["kafka_offset"])


def _name(row: Mapping[str, Any]) -> Origin:
    return Origin(row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"], row["attempt"])
