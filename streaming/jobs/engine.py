"""The two engines behind the jobs: Spark, or this process alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from streaming.jobs import bronze, intake
from streaming.jobs.bronze import BronzeStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import SparkSession

    from streaming.ledger import Partition
    from streaming.settings import Settings


class SilverStream(Protocol):
    """Silver as a stream; made anew for every start."""

    @property
    def ends(self) -> Mapping[Partition, int]:
        """Where the ledger ends, by partition."""

    @property
    def active(self) -> bool:
        """Whether it runs."""

    @property
    def failure(self) -> Exception | None:
        """Why it ended by itself."""

    def start(self) -> None:
        """Go on until `stop`."""

    def stop(self) -> None:
        """End after the batch in progress."""

    def run(self) -> None:
        """Take in what is there now and end."""


class PeriodicJob(Protocol):
    """A job that does its work in one go, at each tick."""

    def run(self) -> dict[str, int]:
        """Bring its tables up to now; return the rows added by table id."""

    def run_due(self) -> dict[str, int]:
        """The same, as far as its clock says that it is time."""


class Engine(Protocol):
    """What makes the jobs."""

    def silver(self, *, on_batch: Callable[[Mapping[str, int]], None] | None = None) -> SilverStream:
        """Make the silver stream."""

    def bronze(self) -> PeriodicJob:
        """Make the bronze job."""

    def trending(self) -> PeriodicJob:
        """Make the trending job."""

    def run(self, name: str) -> None:
        """Bring one job's tables up to now."""


class _Runs:
    def run(self: Engine, name: str) -> None:
        """Bring one job's tables up to now."""
        if name == bronze.NAME:
            self.bronze().run()
        elif name == intake.NAME:
            self.silver().run()
        else:
            self.trending().run()


class SparkEngine(_Runs):
    """The jobs on one Spark session."""

    def __init__(self, settings: Settings, spark: SparkSession) -> None:
        from streaming.spark import adopt

        self._settings = settings
        self._spark = adopt(spark)

    def silver(self, *, on_batch: Callable[[Mapping[str, int]], None] | None = None) -> SilverStream:
        """Make the silver stream."""
        from streaming.jobs.silver import SparkSilver

        return SparkSilver(self._settings, self._spark, on_batch=on_batch)

    def bronze(self) -> PeriodicJob:
        """Make the bronze job."""
        from streaming.jobs.archive import read_archive

        return BronzeStream(self._settings, partial(read_archive, self._settings, self._spark))

    def trending(self) -> PeriodicJob:
        """Make the trending job."""
        from streaming.jobs.trending import TrendingStream
        from streaming.jobs.trending_spark import SparkCharts

        return TrendingStream(self._settings, SparkCharts(self._settings.storage, self._spark))


class PythonEngine(_Runs):
    """The jobs in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def silver(self, *, on_batch: Callable[[Mapping[str, int]], None] | None = None) -> SilverStream:
        """Make the silver stream."""
        from streaming.jobs.python_engine import PythonSilver

        return PythonSilver(self._settings, on_batch=on_batch)

    def bronze(self) -> PeriodicJob:
        """Make the bronze job."""
        from streaming.jobs.python_engine import read_archive

        return BronzeStream(self._settings, partial(read_archive, self._settings))

    def trending(self) -> PeriodicJob:
        """Make the trending job."""
        from streaming.jobs.trending import TrendingStream
        from streaming.jobs.trending_python import ArrowCharts

        return TrendingStream(self._settings, ArrowCharts(self._settings.storage))


def engine(settings: Settings, spark: SparkSession | None) -> Engine:
    """Return the engine that settings ask for.

    Args:
        settings: which one.
        spark: the session of the Spark engine.
    """
    if settings.stream_engine == "python":
        return PythonEngine(settings)
    assert spark is not None, "the Spark engine needs a session"
    return SparkEngine(settings, spark)
