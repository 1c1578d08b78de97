"""All jobs in one process on one Spark session: silver without a pause, bronze by an interval, charts by the clock."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import structlog

from streaming.control import JOBS, Receipt, RunReport, ServiceInfo, code_version, progress, tables_of
from streaming.errors import HaltedError, TimeoutExpiredError, UnavailableError
from streaming.halt import halted, refuse_when_halted
from streaming.jobs import bronze, intake, metrics
from streaming.jobs.engine import engine
from streaming.jobs.erase import check_request, erase
from streaming.lake import Lake
from streaming.ledger import Partition, end_offsets
from streaming.sinks.report import Reporter
from streaming.topics.admin import required_topics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import SparkSession

    from streaming.jobs.engine import PeriodicJob, SilverStream
    from streaming.settings import Settings

TRENDING: Final = JOBS[2]

_TICK_SECONDS: Final = 0.5
_LAG_SECONDS: Final = 15.0
_CURRENT_TIMEOUT_SECONDS: Final = 600.0

log = structlog.get_logger()


class StreamService:
    """The service. The caller holds the lease.

    Args:
        settings: where things are and how often jobs run.
        spark: the one session.
    """

    def __init__(self, settings: Settings, spark: SparkSession | None) -> None:
        self._settings = settings
        self._lake = Lake(settings.storage)
        self._lake.create_all()
        self._reporter = Reporter(settings.dagster_port, self._lake)
        self._engine = engine(settings, spark)
        self._periodic: dict[str, PeriodicJob] = {
            bronze.NAME: self._engine.bronze(),
            TRENDING: self._engine.trending(),
        }
        self._interval = {bronze.NAME: settings.bronze_interval_seconds, TRENDING: _TICK_SECONDS}
        self._locks = {name: threading.Lock() for name in self._periodic}
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._silver: SilverStream | None = None
        self._last_error: str | None = None
        self._begin_silver()
        self._reporter.start()

    @property
    def healthy(self) -> bool:
        """Whether nobody asked to stop, and silver runs or stands still on purpose."""
        return not self._stopping.is_set() and (self._silver is None or self._silver.active)

    def about(self) -> ServiceInfo:
        """Return what there is to say of this service."""
        halt = halted(self._settings)
        return ServiceInfo(
            version=code_version(),
            engine=self._settings.stream_engine,
            lake=str(self._settings.storage),
            running=self._silver is not None and self._silver.active,
            halted=halt.sentence if halt else None,
            last_error=self._last_error,
        )

    def _begin_silver(self) -> None:
        """Start silver unless it is halted; the process stays, so that no supervisor starts it again and again."""
        metrics.HALTED.labels(intake.NAME).set(0)
        try:
            silver = self._engine.silver(on_batch=self._reporter.note)
            silver.start()
        except HaltedError as halt:
            self._note_halt(halt)
        else:
            # Not before it runs: whoever asks meanwhile must not take a beginning for an end.
            self._silver = silver

    def _note_halt(self, halt: HaltedError) -> None:
        metrics.HALTED.labels(intake.NAME).set(1)
        self._last_error = str(halt)
        log.error("halted", query=intake.NAME, sentence=str(halt))
        self._silver = None

    def stop(self) -> None:
        """Ask the service to end after the batches in progress."""
        self._stopping.set()

    def serve(self) -> None:
        """Run until `stop` is called or a job fails.

        Raises:
            MusicError: what made a job fail; the supervisor starts the process again.
        """
        due = dict.fromkeys([*self._periodic, "lag"], time.monotonic())
        try:
            while not self._stopping.wait(_TICK_SECONDS):
                self._check()
                now = time.monotonic()
                for name in [name for name, moment in due.items() if moment <= now]:
                    self._tick(name)
                    due[name] = time.monotonic() + self._interval.get(name, _LAG_SECONDS)
        finally:
            self._stopping.set()
            with self._turn:
                if self._silver is not None:
                    self._silver.stop()
            self._reporter.stop()

    def run(self, job: str) -> RunReport:
        """Bring a job's tables up to now, and wait for it.

        Raises:
            ConfigurationError: there is no such job.
            UnavailableError: the service stops.
            TimeoutExpiredError: it took too long.
        """
        started = time.monotonic()
        before = self._counts(job)
        if job == intake.NAME:
            self._await_silver()
        else:
            self._run_periodic(job)
        return RunReport(job=job, seconds=time.monotonic() - started, tables=progress(job, before, self._counts(job)))

    def erase(self, listener_ids: Sequence[str], erasure_id: str) -> Receipt:
        """Erase listeners from the lake between two batches: silver pauses, and goes on with what it finds then.

        Raises:
            ConfigurationError: an id cannot be one.
            UnavailableError: the service stops, or the broker does not answer.
        """
        check_request(listener_ids, erasure_id)
        with self._turn, ExitStack() as locks:
            if self._stopping.is_set():
                raise UnavailableError("the stream service stops")
            for lock in self._locks.values():
                locks.enter_context(lock)
            if self._silver is not None:
                # The next look at silver starts it anew, with what the tables say then.
                silver, self._silver = self._silver, None
                silver.stop()
            return erase(self._settings, listener_ids, erasure_id, jobs=self._engine)

    def _counts(self, job: str) -> dict[str, int]:
        return {table.id: self._lake.count(table) for table in tables_of(job)}

    def _check(self) -> None:
        if not self._turn.acquire(blocking=False):
            return  # an erasure has it, and the next look comes soon
        try:
            self._look_at_silver()
        finally:
            self._turn.release()

    def _look_at_silver(self) -> None:
        if self._silver is None:
            if halted(self._settings) is None:
                self._begin_silver()
        elif not self._silver.active:
            failure = self._silver.failure
            if not isinstance(failure, HaltedError):
                raise failure or UnavailableError(f"{intake.NAME} ended without a word")
            self._silver.stop()
            self._note_halt(failure)

    def _tick(self, name: str) -> None:
        if name == "lag":
            self._measure_lag()
        else:
            self._run_periodic(name, due_only=True)

    def _run_periodic(self, name: str, *, due_only: bool = False) -> None:
        job = self._periodic[name]
        with self._locks[name]:
            # Every tick of the charts has its moment on the clock; they know which has come.
            self._reporter.note(job.run_due() if due_only else job.run())

    def _await_silver(self) -> None:
        deadline = time.monotonic() + _CURRENT_TIMEOUT_SECONDS
        states = required_topics(self._settings.bootstrap_servers)
        target = {
            Partition(state.topic_id, number): end
            for state in states.values()
            for number, end in state.end_offsets.items()
        }
        while any(self._ends().get(at, 0) < end for at, end in target.items()):
            refuse_when_halted(self._settings)
            if not self.healthy:
                raise UnavailableError(f"{intake.NAME} stopped before it was current")
            if time.monotonic() > deadline:
                raise TimeoutExpiredError(
                    f"{intake.NAME} did not become current within {_CURRENT_TIMEOUT_SECONDS:.0f} s"
                )
            time.sleep(0.05)

    def _ends(self) -> Mapping[Partition, int]:
        silver = self._silver
        return end_offsets(self._lake) if silver is None else silver.ends

    def _measure_lag(self) -> None:
        ends = self._ends()
        for name, state in required_topics(self._settings.bootstrap_servers).items():
            for number, end in state.end_offsets.items():
                lag = end - ends.get(Partition(state.topic_id, number), state.first_offsets[number])
                metrics.LAG.labels(intake.NAME, name, str(number)).set(lag)
