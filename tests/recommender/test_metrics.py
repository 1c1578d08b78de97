"""Metrics, by hand; `tests/bench/test_recommend.py` holds them to a published result."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender.metrics import difference, evaluate

RANKED = np.asarray([[3, 1, 0], [2, 0, -1], [1, 2, 3]])
TEST = sparse.csr_matrix(np.asarray([[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 0, 1]], dtype=np.float32))


def test_metrics_by_hand() -> None:
    judged = evaluate(RANKED, TEST, k=3, items=5)
    ideal_of_two = 1 + 1 / log2(3)
    np.testing.assert_allclose(judged.ndcg, [(1 / log2(3) + 1 / log2(4)) / ideal_of_two, 1, 0])
    np.testing.assert_allclose(judged.recall, [1, 1, 0])
    np.testing.assert_allclose(judged.precision, [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(judged.hit_rate, [1, 1, 0])
    np.testing.assert_allclose(judged.mrr, [1 / 2, 1, 0])
    np.testing.assert_allclose(judged.map, [(1 / 2 + 2 / 3) / 2, 1, 0])
    assert judged.coverage == 4 / 5
    assert judged.means()["recall@3"] == pytest.approx(2 / 3)


def test_the_ideal_is_no_longer_than_the_list() -> None:
    test = sparse.csr_matrix(np.ones((1, 5), dtype=np.float32))
    judged = evaluate(np.asarray([[0, 1]]), test, k=2, items=5)
    assert judged.ndcg[0] == pytest.approx(1)
    assert judged.recall[0] == pytest.approx(2 / 5)
    assert judged.map[0] == pytest.approx(1)


def test_without_listeners_every_mean_is_zero() -> None:
    judged = evaluate(np.empty((0, 10), dtype=np.int64), sparse.csr_matrix((0, 5)), k=10, items=5)
    assert judged.listeners == 0
    assert set(judged.means().values()) == {0.0}


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held = 0
    for trial in range(100):
        ours, theirs = random.normal(0.3, 1, 200), random.normal(0, 1, 200)
        interval = difference(ours, theirs, seed=trial, samples=400)
        held += interval.lower <= 0.3 <= interval.upper
    assert 88 <= held <= 100


def test_the_interval_is_paired_and_repeatable() -> None:
    random = np.random.default_rng(0)
    listener = random.normal(0, 10, 100)
    interval = difference(listener + 0.1, listener)
    assert interval.lower == pytest.approx(interval.upper) == pytest.approx(0.1)
    noise = random.normal(0, 1, 100)
    assert difference(noise, listener) == difference(noise, listener)
    assert difference(noise, listener, seed=8) != difference(noise, listener)


def test_nobody_decides_nothing() -> None:
    interval = difference(np.empty(0), np.empty(0))
    assert interval.lower < 0 < interval.upper
