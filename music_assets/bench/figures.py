"""The arithmetic of a measurement: order of the sides, medians, percentiles, slopes."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def alternated(sides: Sequence[T], repetition: int) -> list[T]:
    """Return the order of a repetition: as given, then reversed, and so on.

    What drifts over a run (a warming JVM, a filling disk, a neighbour) then meets every side alike.
    """
    return list(sides) if repetition % 2 == 0 else list(reversed(sides))


def median(values: Sequence[float]) -> float | None:
    """Return the median, None of no values."""
    return statistics.median(values) if values else None


def ratio(over: float | None, under: float | None) -> float | None:
    """Return a quotient, None when a side is missing or the lower one is zero."""
    return over / under if over is not None and under else None


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How values are distributed, in their own unit.

    Attributes:
        count: number of values.
        p50: half of them are at most this.
        p95: 95 of 100 are.
        p99: 99 of 100 are.
        max: all are.
    """

    count: int
    p50: float
    p95: float
    p99: float
    max: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return the distribution of values, None of no values."""
    if not values:
        return None
    p50, p95, p99 = np.quantile(np.asarray(values, dtype=np.float64), [0.5, 0.95, 0.99])
    return Spread(count=len(values), p50=float(p50), p95=float(p95), p99=float(p99), max=max(values))


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the least-squares slope through (x, y), in y per x; None when x does not vary."""
    if len({x for x, _ in points}) < 2:
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope
