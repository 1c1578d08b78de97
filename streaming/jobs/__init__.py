"""The streaming jobs: as a service (`python -m streaming.jobs all`) or once, as a run that catches up.

Both ways run the same code; whoever runs it holds the lake's lease.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streaming.control import TableProgress, progress, tables_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from streaming.settings import Settings

LEASE_TIMEOUT_SECONDS: Final = 60.0
"""A JVM that outlives its killed driver is gone within two seconds; a run that catches up takes longer."""


def run_once(name: str, settings: Settings, spark: SparkSession | None) -> dict[str, TableProgress]:
    """Bring a job's tables up to now and return what became of them, by table id.

    Args:
        name: one of `streaming.control.JOBS`.
        settings: where things are, and which engine works.
        spark: the session to use; None with the Python engine.

    Raises:
        ConfigurationError: there is no such job.
        TimeoutExpiredError: another process writes to the lake.
        IntegrityError: what is stored contradicts itself.
        HaltedError: silver is halted, or this run halts it.
    """
    from streaming.jobs.engine import engine
    from streaming.jobs.lease import lease
    from streaming.lake import Lake
    from streaming.repair.switch import finish

    tables = tables_of(name)
    lake = Lake(settings.storage)
    with lease(settings, "lease", spark=spark, timeout=LEASE_TIMEOUT_SECONDS):
        lake.create_all()
        finish(settings)
        before = {table.id: lake.count(table) for table in tables}
        engine(settings, spark).run(name)
        after = {table.id: lake.count(table) for table in tables}
    return progress(name, before, after)
