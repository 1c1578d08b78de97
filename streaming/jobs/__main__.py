"""`python -m streaming.jobs NAME|all [--once]`: run the streaming jobs."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING

import structlog

from streaming.control import JOBS
from streaming.errors import ConfigurationError, MusicError
from streaming.jobs import LEASE_TIMEOUT_SECONDS, run_once
from streaming.logs import configure
from streaming.settings import settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from streaming.settings import Settings

log = structlog.get_logger()


def main(arguments: list[str]) -> int:
    """Run what the command line asks for and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m streaming.jobs", description=__doc__)
    parser.add_argument("job", choices=[*JOBS, "all"])
    parser.add_argument("--once", action="store_true", help="take in what is there and end")
    chosen = parser.parse_args(arguments)
    configure()
    try:
        if chosen.once:
            _once(chosen.job, settings())
        elif chosen.job == "all":
            _serve(settings())
        else:
            raise ConfigurationError(f"{chosen.job} runs as a service only with the others; valid: all, or --once")
    except MusicError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _once(job: str, chosen: Settings) -> None:
    spark = _session(chosen)
    try:
        for name in JOBS if job == "all" else [job]:
            for table, progress in run_once(name, chosen, spark).items():
                log.info("current", table=table, added=progress.rows_added, total=progress.rows_total)
    finally:
        if spark is not None:
            spark.stop()


def _session(chosen: Settings) -> SparkSession | None:
    """The session of the Spark engine; the other one needs none."""
    if chosen.stream_engine == "python":
        return None
    from streaming.spark import session

    return session(chosen)


def _serve(chosen: Settings) -> None:
    from streaming.jobs.lease import lease
    from streaming.jobs.server import ControlServer
    from streaming.jobs.service import StreamService

    spark = _session(chosen)
    try:
        with lease(chosen.checkpoint_root / "lease", spark=spark, timeout=LEASE_TIMEOUT_SECONDS):
            service = StreamService(chosen, spark)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: service.stop())
            server = ControlServer(chosen.stream_port, service)
            threading.Thread(target=server.serve_forever, name="control", daemon=True).start()
            log.info("serving", port=chosen.stream_port)
            service.serve()
            server.shutdown()
    finally:
        if spark is not None:
            spark.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
