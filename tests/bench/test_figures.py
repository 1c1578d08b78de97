"""The arithmetic of a measurement, on values whose answer is known."""

from __future__ import annotations

import pytest

from music_assets.bench.figures import alternated, median, ratio, slope, spread


def test_every_other_repetition_runs_in_reverse() -> None:
    assert [alternated("abc", turn) for turn in range(3)] == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"]]


def test_median_and_ratio_know_nothing() -> None:
    assert median([3.0, 1.0, 100.0]) == 3.0
    assert median([]) is None
    assert ratio(1.0, 4.0) == 0.25
    assert ratio(None, 4.0) is None
    assert ratio(1.0, None) is None
    assert ratio(1.0, 0.0) is None


def test_a_spread_names_the_tail() -> None:
    found = spread([float(each) for each in range(101)])
    assert found is not None
    assert (found.count, found.p50, found.p95, found.p99, found.max) == (101, 50.0, 95.0, 99.0, 100.0)
    assert spread([]) is None


def test_a_slope_is_per_unit_of_x() -> None:
    assert slope([(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 5.0), (1.0, 6.0), (2.0, 5.0)]) == pytest.approx(0.0)
    assert slope([(1.0, 5.0)]) is None
    assert slope([(1.0, 5.0), (1.0, 6.0)]) is None
    assert slope([]) is None
