"""Silver, dead letters, catalogue and ledger made anew from bronze: beside the old ones, compared, then switched.

A rebuild is the stream itself on another lake: bronze's rows go through the same staging, the same decision and the
same commits into a lake below `_rebuild/`, which has a claim index and a ledger of its own. So a rebuild by the same
parser gives the same rows, and by a fixed one those that it would always have given. A rebuild that is killed before
the switch left only that folder, which the next one throws away; `streaming.repair.switch` says how a kill during
the switch ends.

Three things keep the verdicts of the time: each position is decided in the order in which the ledger took it in; times
are judged as of the batch's commit, and what was a `future_time` then, as of its own intake; and erased positions keep
their outcome, though bronze has them no more.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from streaming.control import StreamClient
from streaming.errors import TimeoutExpiredError, UnavailableError
from streaming.halt import refuse_when_halted
from streaming.jobs.bronze import BronzeStream
from streaming.jobs.intake import Intake
from streaming.jobs.lease import FILES, lease
from streaming.jobs.python_engine import at_positions, read_archive
from streaming.lake import Lake
from streaming.ledger import Totals, end_offsets, totals
from streaming.parse import Reason
from streaming.pieces import MARKS, RAW, Piece, to_bytes
from streaming.repair.compare import Difference, differences
from streaming.repair.record import NAME as REDRIVE
from streaming.repair.replay import Epoch, Step, bronze_spans, epochs, in_ranges
from streaming.repair.switch import discard, finish, staged, switch
from streaming.sinks.tables import Write, append_arrow
from streaming.staging import stage
from streaming.tables import ERASED, TOMBSTONES, bronze, dead_letters
from streaming.topics import log_topics, topics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from streaming.settings import Settings
    from streaming.storage import Storage

_LEASE_SECONDS: Final = 5.0
_ROWS_AT_ONCE: Final = 20_000
_PLACE: Final = ["kafka_topic_id", "kafka_partition", "kafka_offset"]

Early = dict[tuple[str, int, int], "datetime"]
"""Positions that lay in the future when they were taken in, and when that was."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What a rebuild found and did.

    Attributes:
        switched: whether the new tables are the lake's; False in a dry run.
        positions: how many of bronze's it went through.
        before: the old ledger's totals by topic.
        after: the new one's.
        differences: what differs between the old rows and the new.
        seconds: how long it took.
    """

    switched: bool
    positions: int
    before: dict[str, Totals]
    after: dict[str, Totals]
    differences: list[Difference]
    seconds: float


def rebuild_silver(settings: Settings, *, dry_run: bool = False) -> Rebuilt:
    """Make silver, the dead letters, the catalogue and the ledger anew from bronze.

    Args:
        settings: where things are.
        dry_run: build and compare, and leave everything as it is.

    Raises:
        UnavailableError: the stream service, a redrive or upkeep runs, or bronze is behind and the broker is away.
        HaltedError: silver is halted.
        IntegrityError: bronze lacks positions that the ledger counts and nobody erased.
    """
    settings.storage.require_delta("a rebuild")
    started = time.monotonic()
    if StreamClient(settings.stream_port).alive():
        raise UnavailableError(_RUNNING)
    with _alone(settings):
        finish(settings)
        refuse_when_halted(settings)
        lake = Lake(settings.storage)
        lake.create_all()
        _archive(settings, lake)
        new = _prepare(settings, lake)
        positions = _build(settings, lake)
        found = differences(lake, new)
        before, after = totals(lake), totals(new)
        if dry_run:
            discard(settings)
        else:
            switch(settings, str(uuid4()))
    seconds = time.monotonic() - started
    log.info("rebuilt", positions=positions, seconds=round(seconds, 1), switched=not dry_run)
    return Rebuilt(
        switched=not dry_run, positions=positions, before=before, after=after, differences=found, seconds=seconds
    )


_RUNNING: Final = (
    "the stream service writes to this lake; stop it (`music down`, then `music up kafka`), rebuild, and start it "
    "again with `music up`"
)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    try:
        with (
            lease(settings, "lease", spark=None, timeout=_LEASE_SECONDS),
            lease(settings, REDRIVE, spark=None, timeout=_LEASE_SECONDS),
            lease(settings, FILES, spark=None, timeout=_LEASE_SECONDS),
        ):
            yield
    except TimeoutExpiredError as error:
        raise UnavailableError(f"{_RUNNING}: {error}") from error


def _archive(settings: Settings, lake: Lake) -> None:
    """Bring bronze up to now, so that it has all that silver has."""
    try:
        BronzeStream(settings, partial(read_archive, settings)).run()
    except UnavailableError as error:
        ends = end_offsets(lake)
        spans = {at: span[1] for topic in log_topics() for at, span in bronze_spans(lake, topic.table).items()}
        behind = sum(max(0, ends[at] - end) for at, end in spans.items() if at in ends)
        if behind:
            raise UnavailableError(f"bronze is {behind} messages behind silver and cannot catch up: {error}") from error


def _prepare(settings: Settings, lake: Lake) -> Lake:
    """Make an empty lake beside the other, which knows who is forgotten and what was erased."""
    discard(settings)
    new = Lake(staged(settings).storage)
    new.create_all()
    for table in (TOMBSTONES, ERASED):
        rows = lake.read(table)
        if rows.num_rows:
            append_arrow(rows, table, new.storage, write=Write(expected={}, leaves={}, note={"query": "rebuild"}))
    return new


def _build(settings: Settings, lake: Lake) -> int:
    there = staged(settings)
    # What is a dead letter already was accepted once; only what nobody saw yet can break the contract anew.
    replayed = there.model_copy(update={"halt_dead_letter_share": 1.0})
    early, erased = _early(lake), _erased(lake)
    positions = 0
    for epoch in epochs(lake):
        intake = Intake(replayed if epoch.replay else there, epoch.states)
        try:
            for step in epoch.steps:
                positions += _take(lake, intake, step, early=early, erased=erased, storage=there.storage)
        finally:
            intake.close()
        _log_epoch(epoch)
    return positions


def _log_epoch(epoch: Epoch) -> None:
    log.info("rebuild_epoch", topics=sorted(epoch.states), steps=len(epoch.steps), replay=epoch.replay)


def _take(lake: Lake, intake: Intake, step: Step, *, early: Early, erased: pa.Table, storage: Storage) -> int:
    batches: list[pa.RecordBatch] = []
    pieces: list[Piece] = []
    for topic, topic_id in step.topic_ids.items():
        messages = list(_messages(lake, step, topic))
        batches += messages
        for now, part in _by_time(messages, topic_id, step.moment, early):
            pieces += stage(part, topic_ids={topic: topic_id}, now=now, storage=storage)
        pieces += _gone(topic, messages, step, erased)
    raw = partial(at_positions, batches)
    intake.take(pieces, step.ends, now=step.moment, raw=raw, rank=step.rank)
    return sum(batch.num_rows for batch in batches)


def _messages(lake: Lake, step: Step, topic: str) -> Iterator[pa.RecordBatch]:
    """Yield bronze's rows of a step as Kafka gave them."""
    dataset = lake.dataset(bronze(topics()[topic].table))
    rows = dataset.to_batches(
        columns=RAW.names[1:],
        filter=in_ranges(step, topic),
        batch_size=_ROWS_AT_ONCE,
        batch_readahead=2,
        fragment_readahead=1,
    )
    for batch in rows:
        if batch.num_rows:
            name = pa.repeat(pa.scalar(topic, pa.string()), batch.num_rows)
            columns = [name, *(batch.column(each.name).cast(each.type) for each in list(RAW)[1:])]
            yield pa.RecordBatch.from_arrays(columns, schema=RAW)


def _by_time(
    messages: list[pa.RecordBatch], topic_id: str, moment: datetime, early: Early
) -> Iterator[tuple[datetime, list[pa.RecordBatch]]]:
    """Split messages by the time they are judged at: nearly all at the step's, some at their own."""
    if not early:
        yield moment, messages
        return
    parts: dict[datetime, list[pa.RecordBatch]] = defaultdict(list)
    for batch in messages:
        places = zip(batch.column("kafka_partition").to_pylist(), batch.column("kafka_offset").to_pylist(), strict=True)
        times = [early.get((topic_id, *place), moment) for place in places]
        for each in set(times):
            parts[each].append(batch.filter(pa.array([time == each for time in times])))
    yield from parts.items()


def _early(lake: Lake) -> Early:
    found: Early = {}
    where = pc.field("reason") == Reason.FUTURE_TIME.value
    for topic in topics().values():
        for row in lake.read(dead_letters(topic.name), [*_PLACE, "ingested_at"], where).to_pylist():
            found[row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"]] = row["ingested_at"]
    return found


def _erased(lake: Lake) -> pa.Table:
    return lake.read(ERASED, ["topic", *_PLACE]).group_by(["topic", *_PLACE]).aggregate([])


def _gone(topic: str, messages: list[pa.RecordBatch], step: Step, erased: pa.Table) -> list[Piece]:
    """Marks of the erased positions of a step that bronze has no more: they keep the outcome they had."""
    here = erased.filter(in_ranges(step, topic) & (pc.field("topic") == topic)).select(_PLACE[1:])
    if not here.num_rows:
        return []
    held = {
        place
        for batch in messages
        for place in zip(*(batch.column(name).to_pylist() for name in _PLACE[1:]), strict=True)
    }
    rows: list[dict[str, Any]] = [
        {"partition": row["kafka_partition"], "offset": row["kafka_offset"], "dead": True}
        for row in here.to_pylist()
        if (row["kafka_partition"], row["kafka_offset"]) not in held
    ]
    if not rows:
        return []
    marks = pa.Table.from_pylist(rows, MARKS)
    return [Piece(topic=topic, marks=to_bytes(marks), good=None, dead=None, records=None, reasons={})]
