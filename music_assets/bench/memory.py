"""How much memory a process takes while it is measured, and whether that stays where it is."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from music_assets.bench.figures import median, slope
from music_assets.bench.report import Requirement, Rows, number
from music_assets.stack.memory import tree_mb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Curve = list[tuple[float, dict[str, float]]]
"""(seconds since the first look, MiB of the process tree as the sum of PSS by the program's name)."""

GROWTH_LIMIT: Final = 0.05
_ALL: Final = "all"


@contextmanager
def sampled(pid: int, *, every_seconds: float) -> Iterator[Curve]:
    """Look at the memory of a process and its children while the block runs.

    Args:
        pid: the process.
        every_seconds: time between two looks.
    """
    curve: Curve = []
    stop, started = threading.Event(), time.monotonic()

    def look() -> None:
        while not stop.is_set():
            curve.append((time.monotonic() - started, tree_mb(pid)))
            stop.wait(every_seconds)

    thread = threading.Thread(target=look, name="memory", daemon=True)
    thread.start()
    try:
        yield curve
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True, kw_only=True)
class Flatness:
    """How memory went, in MiB.

    Attributes:
        median_mb: half of the samples are at most this.
        max_mb: the largest sample.
        slope_mb_per_minute: least squares.
        growth: what the slope adds over the time, as a share of the median.
    """

    median_mb: float
    max_mb: float
    slope_mb_per_minute: float
    growth: float


def flatness(samples: Sequence[tuple[float, float]]) -> Flatness | None:
    """Return how memory went, None of too few samples.

    Args:
        samples: (seconds, MiB), those that count.
    """
    per_second, middle = slope(samples), median([each for _, each in samples])
    if per_second is None or not middle:
        return None
    return Flatness(
        median_mb=middle,
        max_mb=max(each for _, each in samples),
        slope_mb_per_minute=per_second * 60,
        growth=per_second * (samples[-1][0] - samples[0][0]) / middle,
    )


def by_program(samples: Sequence[tuple[float, dict[str, float]]]) -> dict[str, Flatness]:
    """Return how memory went of each program of a process tree, and of all together; empty of too few samples.

    Args:
        samples: (seconds, MiB by program), those that count.
    """
    programs = sorted({name for _, each in samples for name in each})
    curves = {name: [(at, each.get(name, 0.0)) for at, each in samples] for name in programs}
    curves[_ALL] = [(at, sum(each.values())) for at, each in samples]
    found = {name: flatness(curve) for name, curve in curves.items()}
    return {name: each for name, each in found.items() if each is not None}


def stays(found: dict[str, Flatness]) -> Requirement:
    """Return what is required of the memory of a whole process tree."""
    whole = found.get(_ALL)
    return Requirement(
        name="memory growth after the warm-up", value=whole.growth if whole else None, limit=GROWTH_LIMIT,
        direction="at most", note="by the slope, as a share of the median",
    )  # fmt: skip


def rows(title: str, found: dict[str, Flatness]) -> Rows:
    """Return the memory of each program as a table."""
    return Rows(
        title=title,
        columns=("after the warm-up", "median MiB", "most MiB", "MiB a minute", "growth"),
        rows=[
            (name, number(each.median_mb, 0), number(each.max_mb, 0), number(each.slope_mb_per_minute, 1),
             number(each.growth, 3))
            for name, each in found.items()
        ],
    )  # fmt: skip
