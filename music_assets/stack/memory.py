"""How much memory a stack takes: the sum of PSS, which counts shared pages once."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import psutil

from music_assets.stack.process import marked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_INTERVAL_SECONDS: Final = 1.0


class MemorySampler:
    """Samples this process, its children and the stack once a second while its block runs.

    Args:
        home: state of the stack.

    Attributes:
        peak_mb: most memory of all together at once, in MiB.
    """

    def __init__(self, home: Path) -> None:
        self.peak_mb = 0.0
        self._home = home
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, total_mb(self._home))
            if self._stop.wait(_INTERVAL_SECONDS):
                return


def total_mb(home: Path) -> float:
    """Return the memory of this process, its children and the stack now, in MiB."""
    own = psutil.Process()
    every = {each.pid: each for each in (own, *own.children(recursive=True), *marked(home))}
    return pss_mb(every.values())


def tree_mb(pid: int) -> dict[str, float]:
    """Return the memory of a process and all its children now, in MiB by program; empty when it has ended."""
    found: dict[str, float] = {}
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for each in (root, *root.children(recursive=True)):
            # One that ended meanwhile takes nothing.
            with suppress(psutil.Error):
                found[each.name()] = found.get(each.name(), 0.0) + pss_mb([each])
    return found


def pss_mb(processes: Iterable[psutil.Process]) -> float:
    """Return the memory that some processes take together now, in MiB: each shared page counts once."""
    total = 0
    for process in processes:
        # One that ended meanwhile takes nothing.
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total / 2**20
