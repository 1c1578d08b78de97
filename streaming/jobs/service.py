"""All jobs in one process on one Spark session: silver without a pause, bronze by an interval, charts by the clock."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from streaming.control import RunReport, progress, tables_of
from streaming.errors import TimeoutExpiredError, UnavailableError
from streaming.jobs import bronze, metrics, silver, trending
from streaming.jobs.bronze import BronzeStream
from streaming.jobs.silver import SilverStream, required_topics
from streaming.jobs.trending import TrendingStream
from streaming.jobs.trending_spark import SparkCharts
from streaming.lake import Lake
from streaming.ledger import Partition
from streaming.sinks.report import Reporter

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from streaming.settings import Settings

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

    def __init__(self, settings: Settings, spark: SparkSession) -> None:
        self._settings = settings
        self._lake = Lake(settings.lake_root)
        self._lake.create_all()
        self._reporter = Reporter(settings.dagster_port, self._lake)
        self._silver = SilverStream(settings, spark, on_batch=self._reporter.note)
        self._periodic: dict[str, BronzeStream | TrendingStream] = {
            bronze.NAME: BronzeStream(settings, spark),
            trending.NAME: TrendingStream(settings, SparkCharts(settings.lake_root, spark)),
        }
        self._interval = {bronze.NAME: settings.bronze_interval_seconds, trending.NAME: _TICK_SECONDS}
        self._locks = {name: threading.Lock() for name in self._periodic}
        self._stopping = threading.Event()
        self._query = self._silver.start(once=False)
        self._reporter.start()

    @property
    def healthy(self) -> bool:
        """Whether the query runs and nobody asked to stop."""
        return self._query.isActive and not self._stopping.is_set()

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
            self._silver.stop(self._query)
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
        if job == silver.NAME:
            self._await_silver()
        else:
            self._run_periodic(job)
        return RunReport(job=job, seconds=time.monotonic() - started, tables=progress(job, before, self._counts(job)))

    def _counts(self, job: str) -> dict[str, int]:
        return {table.id: self._lake.count(table) for table in tables_of(job)}

    def _check(self) -> None:
        if not self._query.isActive:
            raise self._silver.failure or UnavailableError(f"{silver.NAME} ended: {self._query.exception()}")

    def _tick(self, name: str) -> None:
        if name == "lag":
            self._measure_lag()
        else:
            self._run_periodic(name, due_only=True)

    def _run_periodic(self, name: str, *, due_only: bool = False) -> None:
        job = self._periodic[name]
        with self._locks[name]:
            # Every tick of the charts has its moment on the clock; they know which has come.
            self._reporter.note(job.run_due() if due_only and isinstance(job, TrendingStream) else job.run())

    def _await_silver(self) -> None:
        deadline = time.monotonic() + _CURRENT_TIMEOUT_SECONDS
        states = required_topics(self._settings.bootstrap_servers)
        target = {
            Partition(state.topic_id, number): end
            for state in states.values()
            for number, end in state.end_offsets.items()
        }
        while any(self._silver.ends.get(at, 0) < end for at, end in target.items()):
            if not self.healthy:
                raise UnavailableError(f"{silver.NAME} stopped before it was current")
            if time.monotonic() > deadline:
                raise TimeoutExpiredError(
                    f"{silver.NAME} did not become current within {_CURRENT_TIMEOUT_SECONDS:.0f} s"
                )
            time.sleep(0.05)

    def _measure_lag(self) -> None:
        ends = self._silver.ends
        for name, state in required_topics(self._settings.bootstrap_servers).items():
            for number, end in state.end_offsets.items():
                lag = end - ends.get(Partition(state.topic_id, number), 0)
                metrics.LAG.labels(silver.NAME, name, str(number)).set(lag)
