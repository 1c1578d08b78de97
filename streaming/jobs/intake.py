"""The second half of a batch: decides what each staged position is, and commits. The same for every engine.

Rows are written first and the ledger last. Nothing here relies on a write having happened or not: after any kill the
next start reads from the tables what is there.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import structlog

from streaming.claims import ClaimIndex
from streaming.errors import IntegrityError
from streaming.halt import Brake, refuse_when_halted
from streaming.jobs import metrics
from streaming.jobs.batch import Decision, Known, decide, ledger_row
from streaming.jobs.checkpoint import begins
from streaming.jobs.recovery import catch_up, read_written
from streaming.jobs.tombstones import forgotten
from streaming.lake import Lake
from streaming.ledger import Partition, end_offsets
from streaming.parse import Reason
from streaming.pieces import Piece, from_bytes
from streaming.sinks.files import DataFile, read_data_file, write_data_file
from streaming.sinks.tables import Write, append_arrow, commit_files, upsert
from streaming.staging import silver_of, with_headers
from streaming.tables import ERASED, LEDGER, UTC_MICROSECONDS, Table, dead_letters, tables
from streaming.topics import log_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from streaming.claims import Claims
    from streaming.jobs.batch import Mask, Rank
    from streaming.settings import Settings
    from streaming.storage import Storage
    from streaming.topics.admin import TopicState

NAME: Final = "stream_kafka_to_silver"

Positions = list[tuple[int, int]]
"""Partition and offset."""

_OTHER_LISTENER: Final = "another listener sent this event_id first"
_DELAYS_SAMPLED: Final = 100
_ON_ARRIVAL: Final = "on-arrival"
"""Erasure id of what came in after its listener was forgotten."""

log = structlog.get_logger()


class Intake:
    """Where silver stands, and how a staged batch becomes part of it.

    The caller holds the lease and closes it.

    Args:
        settings: where things are.
        states: the broker's topics.
        start: where to begin what the ledger does not know; by default at the oldest offset there is.
        on_batch: told the rows added by table id after each commit.
        guard: raises when the messages of a batch may be of other topics than `states` says.

    Raises:
        HaltedError: silver is halted, and nobody resumed it.
    """

    def __init__(
        self,
        settings: Settings,
        states: Mapping[str, TopicState],
        *,
        start: Mapping[Partition, int] | None = None,
        guard: Callable[[], None] | None = None,
        on_batch: Callable[[Mapping[str, int]], None] | None = None,
    ) -> None:
        refuse_when_halted(settings)
        self._storage = settings.storage
        self._lake = Lake(self._storage)
        self._on_batch = on_batch or (lambda _added: None)
        self._guard = guard or (lambda: None)
        self.topic_ids = {name: state.topic_id for name, state in states.items()}
        self._names = {topic_id: name for name, topic_id in self.topic_ids.items()}
        ledger = end_offsets(self._lake)
        known = {at: end for at, end in ledger.items() if at.topic_id in self._names}
        self._ends = {**begins(states, ledger), **(start or {}), **known}
        self._versions = {table.id: self._version(table) for table in tables().values()}
        self._brake = Brake(settings)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="claims")
        self._remembering: Future[None] | None = None
        index = ClaimIndex(settings.checkpoint_root / NAME / "claims")
        self.claimed = index.filter_folder
        self._known = Known(index=index, written=read_written(self._lake, self._ends), forgotten=forgotten(self._lake))
        catch_up(index, self._lake, {**ledger, **self._ends})
        self._claims = {topic.name: self._lake.count(silver_of(topic.name)) for topic in log_topics()}
        self._show_claims()

    def close(self) -> None:
        """Release the index."""
        try:
            self._await_claims()
        finally:
            self._beside.shutdown()
            self._known.index.close()

    @property
    def ends(self) -> dict[Partition, int]:
        """Where the ledger ends, by partition."""
        return dict(self._ends)

    def ranges(self, planned: Mapping[Partition, int]) -> dict[Partition, tuple[int, int]]:
        """Return first and end offset of what a batch that ends at `planned` adds, without what it does not move."""
        return {at: (self._ends[at], end) for at, end in planned.items() if end != self._ends[at]}

    def take(
        self,
        pieces: list[Piece],
        planned: Mapping[Partition, int],
        *,
        now: datetime,
        raw: Callable[[str, Positions], pa.Table],
        staging_seconds: float = 0,
        rank: Rank | None = None,
    ) -> None:
        """Commit one batch.

        Args:
            pieces: all its messages, staged.
            planned: where it ends, by partition.
            now: when it was staged.
            raw: returns the messages of a topic at some positions, as `streaming.pieces.RAW`.
            staging_seconds: how long staging took, for the record.
            rank: which position came first, where it is not partition and offset.

        Raises:
            IntegrityError: the batch does not continue the ledger, or its outcomes do not add up.
            HaltedError: too many of its messages break their contract.
            UnavailableError: the guard says that a topic is another one now.
        """
        clock = _Clock(stage=staging_seconds)
        self._await_claims()
        clock.lap("await")
        ranges = self.ranges(planned)
        decision = decide(pieces, self.topic_ids, self._known, rank=rank)
        rows = self._ledger_rows(ranges, decision)
        self._check_contract(pieces, ranges, rows)
        self._guard()
        clock.lap("decide")
        files = self._files(pieces, decision, now=now, raw=raw)
        note = {
            "query": NAME,
            "end_offsets": {f"{self._names[at.topic_id]}-{at.partition}": end for at, end in planned.items()},
        }
        added = self._write_tables(files, pieces, decision, note=note)
        clock.lap("write")
        about = {"query": NAME, "batch_id": (self._versions[LEDGER.id] or 0) + 1, "committed_at": datetime.now(UTC)}
        self._append(pa.Table.from_pylist([{**row, **about} for row in rows], LEDGER.schema), LEDGER, note=note)
        clock.lap("ledger")
        self._ends.update(planned)
        # Beside the staging of the next batch, which needs them only when it is decided.
        self._remembering = self._beside.submit(self._remember, decision.claims, dict(planned))
        self._brake.passed(_by_topic(planned, self._names))
        self._tell(pieces, rows, {**added, LEDGER.id: len(rows)}, clock)

    def _remember(self, claims: list[Claims], ends: Mapping[Partition, int]) -> None:
        started = time.monotonic()
        self._known.index.add(claims, ends)
        log.debug("claims_remembered", query=NAME, seconds=round(time.monotonic() - started, 3))

    def _await_claims(self) -> None:
        if self._remembering is not None:
            self._remembering.result()
            self._remembering = None

    def _ledger_rows(self, ranges: Mapping[Partition, tuple[int, int]], decision: Decision) -> list[dict[str, Any]]:
        unplanned = decision.counts.keys() - ranges.keys()
        if unplanned:
            raise IntegrityError(f"messages of {sorted(unplanned)} were read, which the batch did not plan")
        return [
            ledger_row(self._names[at.topic_id], at, first=first, end=end, counts=decision.counts[at])
            for at, (first, end) in ranges.items()
        ]

    def _check_contract(
        self, pieces: list[Piece], ranges: Mapping[Partition, tuple[int, int]], rows: list[dict[str, Any]]
    ) -> None:
        received: Counter[str] = Counter()
        for row in rows:
            received[row["topic"]] += row["received"]
        reasons: dict[str, Counter[str]] = defaultdict(Counter)
        for piece in pieces:
            reasons[piece.topic].update(piece.reasons)
        ends = _by_topic({at: end for at, (_, end) in ranges.items()}, self._names)
        for topic, count in received.items():
            self._brake.check(topic, received=count, reasons=reasons[topic], ends=ends[topic])

    def _files(
        self, pieces: list[Piece], decision: Decision, *, now: datetime, raw: Callable[[str, Positions], pa.Table]
    ) -> dict[str, list[DataFile]]:
        """The files to commit by table id: as they were staged, without the rows that are not to be written."""
        files: dict[str, list[DataFile]] = defaultdict(list)
        unsure: dict[str, list[pa.Table]] = defaultdict(list)
        for piece, keep in zip(pieces, decision.keep, strict=True):
            good = len(keep) - sum(piece.reasons.values())
            doubted = from_bytes(piece.unsure) if piece.unsure else None
            sure = good - (doubted.num_rows if doubted else 0)
            if doubted:
                unsure[piece.topic].append(doubted.filter(pa.array(keep[sure:good])))
            for file, mask in ((piece.good, keep[:sure]), (piece.dead, keep[good:])):
                left = _without(file, mask, self._storage) if file is not None else None
                if left is not None:
                    files[left.table_id].append(left)
        for topic, parts in unsure.items():
            rows, table = pa.concat_tables(parts), silver_of(topic)
            if rows.num_rows:
                files[table.id].append(write_data_file(rows, table, self._storage))
        for topic, positions in decision.foreign.items():
            if positions:
                letters = self._foreign(topic, with_headers(raw(topic, positions)), now)
                files[f"deadletter/{topic}"].append(write_data_file(letters, dead_letters(topic), self._storage))
        return files

    def _foreign(self, topic: str, messages: pa.Table, now: datetime) -> pa.Table:
        constant = {
            "kafka_topic_id": self.topic_ids[topic],
            "reason": Reason.EVENT_ID_OF_ANOTHER_LISTENER.value,
            "field": "event_id",
            "detail": _OTHER_LISTENER,
        }
        for name, value in constant.items():
            messages = messages.append_column(name, pa.repeat(pa.scalar(value, pa.string()), messages.num_rows))
        moment = pa.repeat(pa.scalar(now, UTC_MICROSECONDS), messages.num_rows)
        return messages.append_column("ingested_at", moment)

    def _write_tables(
        self, files: dict[str, list[DataFile]], pieces: list[Piece], decision: Decision, *, note: Mapping[str, Any]
    ) -> dict[str, int]:
        registry = tables()
        # A commit waits more than it works: two at a time.
        with ThreadPoolExecutor(2, thread_name_prefix="commit") as pool:
            writes = [pool.submit(self._commit, each, registry[table_id], note) for table_id, each in files.items()]
            writes += [
                pool.submit(upsert, records, silver_of(topic), self._storage, note=note)
                for topic, records in _records(pieces, decision.keep).items()
            ]
        for done in writes:
            done.result()
        if decision.erased:
            self._append(_erased(decision), ERASED, note=note)
        return {table_id: sum(file.rows for file in each) for table_id, each in files.items()}

    def _commit(self, files: list[DataFile], table: Table, note: Mapping[str, Any]) -> None:
        commit_files(files, table, self._storage, write=self._next(table, note))
        self._moved(table)

    def _append(self, rows: pa.Table, table: Table, *, note: Mapping[str, Any]) -> None:
        append_arrow(rows, table, self._storage, write=self._next(table, note))
        self._moved(table)

    def _version(self, table: Table) -> int | None:
        return self._lake.marks(table, [NAME])[NAME]

    def _next(self, table: Table, note: Mapping[str, Any]) -> Write:
        held = self._versions[table.id]
        return Write(expected={NAME: held}, leaves={NAME: (held or 0) + 1}, note=note)

    def _moved(self, table: Table) -> None:
        self._versions[table.id] = (self._versions[table.id] or 0) + 1

    def _show_claims(self) -> None:
        for topic, count in self._claims.items():
            metrics.CLAIMS.labels(topic).set(count)

    def _tell(self, pieces: list[Piece], rows: list[dict[str, Any]], added: Mapping[str, int], clock: _Clock) -> None:
        for row in rows:
            for outcome in ("stored", "duplicate", "dead_lettered"):
                metrics.ROWS.labels(NAME, row["topic"], outcome).inc(row[outcome])
        for row in rows:
            if row["topic"] in self._claims:
                self._claims[row["topic"]] += row["stored"] - row["erased"]
        self._show_claims()
        metrics.batch_done(NAME, clock.total)
        _observe_delays(pieces)
        for piece in pieces:
            for bad in piece.bad:
                log.warning("dead_letter", topic=piece.topic, **msgspec.structs.asdict(bad))
        received = sum(row["received"] for row in rows)
        traces = [trace_id for piece in pieces for trace_id in piece.traces]
        told = {"trace_ids": traces} if traces else {}
        log.info(
            "batch_committed", query=NAME, received=received, seconds=clock.total, phases=clock.phases, **told, **added
        )
        self._on_batch(added)


class _Clock:
    """Seconds by phase."""

    def __init__(self, **phases: float) -> None:
        self.phases = {name: round(seconds, 3) for name, seconds in phases.items()}
        self._last = time.monotonic()

    def lap(self, phase: str) -> None:
        now = time.monotonic()
        self.phases[phase] = round(now - self._last, 3)
        self._last = now

    @property
    def total(self) -> float:
        return round(sum(self.phases.values()), 3)


def _without(file: DataFile, keep: Mask, storage: Storage) -> DataFile | None:
    """The file, or one that holds the rows to keep, or none."""
    if keep.all():
        return file
    left = None
    if keep.any():
        left = write_data_file(read_data_file(file, storage).filter(pa.array(keep)), file.table, storage)
    storage.delete(file.place(storage))
    return left


def _records(pieces: list[Piece], keep: list[Mask]) -> dict[str, pa.Table]:
    """By topic, the last record of each key, with `deleted`."""
    found: dict[str, list[pa.Table]] = defaultdict(list)
    for piece, mask in zip(pieces, keep, strict=True):
        if piece.records is not None:
            records = from_bytes(piece.records)
            found[piece.topic].append(records.filter(pa.array(mask[: records.num_rows])))
    every = {topic: _last_values(pa.concat_tables(parts), silver_of(topic)) for topic, parts in found.items()}
    return {topic: records for topic, records in every.items() if records.num_rows}


def _last_values(records: pa.Table, table: Table) -> pa.Table:
    records = records.sort_by("kafka_offset")
    last = {key: row for row, key in enumerate(records.column(table.key[0]).to_pylist())}
    newest = records.take(pa.array(sorted(last.values()), pa.int64()))
    deleted = newest.column("deleted").fill_null(fill_value=False)
    return newest.select(table.schema.names).append_column("deleted", deleted)


def _erased(decision: Decision) -> pa.Table:
    about = {"outcome": "stored", "erasure_id": _ON_ARRIVAL, "erased_at": datetime.now(UTC)}
    rows = [
        {
            "topic": topic,
            "kafka_topic_id": at.topic_id,
            "kafka_partition": at.partition,
            "kafka_offset": offset,
            **about,
        }
        for topic, at, offset in decision.erased
    ]
    return pa.Table.from_pylist(rows, ERASED.schema)


def _by_topic(ends: Mapping[Partition, int], names: Mapping[str, str]) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for at, end in ends.items():
        found[names[at.topic_id]][at.partition] = end
    return found


def _observe_delays(pieces: list[Piece]) -> None:
    now = time.time()
    for piece in pieces:
        moments = from_bytes(piece.marks).column("happened_at").drop_null().to_numpy()
        for moment in moments[:: max(1, len(moments) // _DELAYS_SAMPLED)].tolist():
            metrics.EVENT_DELAY.labels(NAME).observe(max(0.0, now - moment / 1e6))
