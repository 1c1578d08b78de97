"""The machine a measurement runs on: what it is, how much work was done on it, and its page cache."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_DROP_CACHES: Final = Path("/proc/sys/vm/drop_caches")
_PACKAGES: Final = ("pyspark", "delta-spark", "deltalake", "confluent-kafka", "msgspec", "pyarrow", "rocksdict")


def facts() -> dict[str, Any]:
    """Return what a reader must know of the machine to weigh a figure; the load is that of now."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": [round(each, 2) for each in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "java": _java_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _java_version() -> str:
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    return said.splitlines()[0] if said else "unknown"


def cpu_seconds(pid: int | None = None, *, without: Collection[int] = ()) -> float:
    """Return the processor time that a process and its children took so far, in seconds.

    Work per CPU-second says more than work per second where others share the cores.

    Args:
        pid: the process; None: this one.
        without: children that do not count, such as the broker.
    """
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.Error):
            if process.pid not in without:
                # What a child that has ended took is in its parent's sum.
                total += sum(process.cpu_times()[:4])
    return total


def warm(folder: Path) -> None:
    """Bring every file below a folder into the page cache."""
    for path in _files(folder):
        with path.open("rb") as file:
            while file.read(1 << 22):
                pass


def drop_page_cache(folder: Path) -> str:
    """Bring every file below a folder out of the page cache; return the way it was done."""
    os.sync()
    try:
        _DROP_CACHES.write_text("3", encoding="ascii")
    except OSError:
        for path in _files(folder):
            _forget(path)
        return "fadvise"
    return "drop_caches"


def _forget(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
