"""One writer at a time: a lease on the lake, and one for whoever rewrites and deletes files.

The first saves work; correctness lies in the writes themselves. A lake on this machine is leased by a file lock beside
its checkpoints. The lock goes when its process does, but the JVM of a killed driver lives on for a second or two and
may still write: the lease names it, and a taker waits for its end. A lake on an object store is leased by an object.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

import psutil

from streaming.errors import TimeoutExpiredError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from streaming.settings import Settings

FILES: Final = "files"
"""Lease of whoever rewrites or deletes data files: upkeep a table at a time, an erasure and a rebuild all the time."""

_POLL_SECONDS: Final = 0.1


@contextmanager
def lease(settings: Settings, name: str, *, spark: SparkSession | None, timeout: float) -> Iterator[None]:
    """Hold one of a lake's leases.

    Args:
        settings: where the lake is.
        name: which; that of the writers is `lease`.
        spark: the holder's session, whose JVM the next holder waits for.
        timeout: seconds to wait for the holder before.

    Raises:
        TimeoutExpiredError: another process held it all the time.
    """
    if settings.storage.store is None:
        with _file_lease(settings.checkpoint_root / name, spark=spark, timeout=timeout):
            yield
    else:
        from streaming.jobs.object_lease import object_lease

        with object_lease(settings.storage, f"_leases/{name}", timeout=timeout):
            yield


@contextmanager
def _file_lease(path: Path, *, spark: SparkSession | None, timeout: float) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    with path.open("a+", encoding="utf-8") as file:
        _lock(file, path, deadline)
        _await_jvm(file, path, deadline)
        _write(file, _jvm(spark))
        try:
            yield
        finally:
            _write(file, None)


def _lock(file: IO[str], path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait(path, deadline)
        else:
            return


def _await_jvm(file: IO[str], path: Path, deadline: float) -> None:
    file.seek(0)
    content = file.read().strip()
    if not content:
        return
    left = json.loads(content)
    if left["pid"] == _own_jvm_pid(left["pid"]):
        return
    while _lives(left["pid"], left["started"]):
        _wait(path, deadline)


def _own_jvm_pid(pid: int) -> int | None:
    """The pid when it is a child of this process: our own JVM needs no waiting for."""
    return pid if any(child.pid == pid for child in psutil.Process().children(recursive=True)) else None


def _wait(path: Path, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise TimeoutExpiredError(f"another process writes to this lake (it holds {path}); stop it or wait for its end")
    time.sleep(_POLL_SECONDS)


def _lives(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _jvm(spark: SparkSession | None) -> psutil.Process | None:
    if spark is None:
        return None
    handle = spark.sparkContext._jvm.java.lang.ProcessHandle.current()  # type: ignore[union-attr]
    return psutil.Process(int(handle.pid()))


def _write(file: IO[str], jvm: psutil.Process | None) -> None:
    file.seek(0)
    file.truncate()
    if jvm is not None:
        file.write(json.dumps({"pid": jvm.pid, "started": jvm.create_time(), "driver": os.getpid()}))
    file.flush()
