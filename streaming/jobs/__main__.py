"""`python -m streaming.jobs NAME|all [--once]`: run the streaming jobs.

`all` are the jobs on the lake, in one process; the features in Redis are a process of their own.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from streaming.control import FEATURES, JOBS
from streaming.errors import ConfigurationError, MusicError
from streaming.jobs import LEASE_TIMEOUT_SECONDS, run_once
from streaming.logs import configure
from streaming.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from streaming.jobs.server import Service
    from streaming.settings import Settings

log = structlog.get_logger()


def main(arguments: list[str]) -> int:
    """Run what the command line asks for and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m streaming.jobs", description=__doc__)
    parser.add_argument("job", choices=[*JOBS, FEATURES, "all"])
    parser.add_argument("--once", action="store_true", help="take in what is there and end")
    chosen = parser.parse_args(arguments)
    configure()
    try:
        if chosen.job == FEATURES:
            _features(settings(), once=chosen.once)
        elif chosen.once:
            _once(chosen.job, settings())
        elif chosen.job == "all":
            _serve(settings())
        else:
            valid = f"all, {FEATURES}, or --once"
            raise ConfigurationError(f"{chosen.job} runs as a service only with the others; valid: {valid}")
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
    from streaming.jobs.service import StreamService
    from streaming.repair.switch import finish

    spark = _session(chosen)
    try:
        with lease(chosen, "lease", spark=spark, timeout=LEASE_TIMEOUT_SECONDS):
            finish(chosen)
            service = StreamService(chosen, spark)
            with _control(chosen.stream_port, service):
                service.serve()
    finally:
        if spark is not None:
            spark.stop()


def _features(chosen: Settings, *, once: bool) -> None:
    from streaming.jobs import features

    if once:
        for name, progress in features.run_once(chosen).tables.items():
            log.info("current", table=name, added=progress.rows_added, total=progress.rows_total)
        return
    stream = features.FeatureStream(chosen)
    try:
        with _control(chosen.features_port, stream):
            stream.serve()
    finally:
        stream.close()


@contextmanager
def _control(port: int, service: Service) -> Iterator[None]:
    """Let a service be asked on its port, and end it in order on SIGTERM and Ctrl-C."""
    from streaming.jobs.server import ControlServer

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    server = ControlServer(port, service)
    threading.Thread(target=server.serve_forever, name="control", daemon=True).start()
    log.info("serving", port=port)
    try:
        yield
    finally:
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
