"""The autoencoder: what it descends, how it steps, and that a draw of the catalogue teaches what all of it does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import sparse

from music_assets.bench.planted import planted
from music_assets.recommender import kernels
from music_assets.recommender.metrics import evaluate
from music_assets.recommender.models import autoencoder
from music_assets.recommender.models.autoencoder import Autoencoder, _Batch
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.stacking import folds
from tests.recommender.worlds import checkerboard

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEARD = np.asarray([[1, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0]], dtype=np.float32)


def likelihood(said: NDArray[np.float64], stands_for: float) -> float:
    """Mean log likelihood of what was heard, where each item that nobody heard stands for so many of its kind."""
    kinds = np.where(HEARD.any(axis=0), 1, stands_for)
    log = said - np.log((kinds * np.exp(said)).sum(axis=1, keepdims=True))
    return float((log * HEARD).sum(axis=1).mean())


@pytest.mark.parametrize("stands_for", [1.0, 4.0])
def test_the_error_is_the_gradient_of_the_likelihood(stands_for: float) -> None:
    batch = replace(_Batch.drawn(sparse.csr_matrix(HEARD), np.random.default_rng(0)), drawn_for=stands_for)
    said = np.random.default_rng(1).normal(size=HEARD.shape)
    found = batch.error(said.astype(np.float32))
    for place in np.ndindex(*said.shape):
        step = np.zeros_like(said)
        step[place] = 1e-5
        slope = (likelihood(said + step, stands_for) - likelihood(said - step, stands_for)) / 2e-5
        assert found[place] == pytest.approx(-slope, abs=1e-5)


def test_a_batch_is_held_against_all_or_what_it_heard_and_a_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sparse.csr_matrix(([1.0, 1.0, 1.0], ([0, 0, 1], [3, 70, 3])), shape=(2, 1000), dtype=np.float32)
    whole = _Batch.drawn(rows, np.random.default_rng(0))
    assert (len(whole.outputs), whole.drawn_for, whole.inputs.tolist()) == (1000, 1.0, [3, 70, 1000])
    monkeypatch.setattr(autoencoder, "_OUTPUTS", 50)
    some = _Batch.drawn(rows, np.random.default_rng(0))
    assert 40 < len(some.outputs) <= 52
    assert some.outputs[some.places].tolist() == [3, 70]
    assert some.drawn_for == pytest.approx(998 / (len(some.outputs) - 2))


def test_steps_are_those_of_adam_and_of_the_rows_named_alone() -> None:
    random = np.random.default_rng(0)
    weights, mean, square = (random.random((5, 3), dtype=np.float32) for _ in range(3))
    gradient = random.standard_normal((2, 3), dtype=np.float32)
    before = [each.copy() for each in (weights, mean, square)]
    kernels.adam(weights, mean, square, np.asarray([1, 4]), gradient, 0.01, 0.1, 3)
    named = np.asarray([1, 4])
    pulled = gradient + 0.1 * before[0][named]
    first, second = 0.9 * before[1][named] + 0.1 * pulled, 0.999 * before[2][named] + 0.001 * pulled**2
    wanted = before[0][named] - 0.01 * (first / (1 - 0.9**3)) / (np.sqrt(second / (1 - 0.999**3)) + 1e-8)
    np.testing.assert_allclose(weights[named], wanted, rtol=1e-4)
    np.testing.assert_allclose(mean[named], first, rtol=1e-5)
    np.testing.assert_allclose(square[named], second, rtol=1e-5)
    for after, was in zip((weights, mean, square), before, strict=True):
        np.testing.assert_array_equal(after[[0, 2, 3]], was[[0, 2, 3]])


def test_a_draw_of_the_catalogue_teaches_what_all_of_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    train, apart = next(iter(folds(planted(listeners=1500, items=1200, listens=40_000), 5)))

    def ndcg(model: Autoencoder | Popularity) -> float:
        ranked = model.fit(train).recommend(train.counts, k=10)
        return float(evaluate(ranked, apart, k=10, items=len(train.items)).ndcg.mean())

    whole = ndcg(Autoencoder(hidden=64))
    monkeypatch.setattr(autoencoder, "_OUTPUTS", 100)
    assert ndcg(Autoencoder(hidden=64, batch=32, epochs=8)) > 0.8 * whole > 2 * ndcg(Popularity())


def test_one_unit_learns_to_tell_two_colours() -> None:
    world = checkerboard()
    model = Autoencoder(hidden=1, epochs=300, rate=0.01).fit(world)
    colour = np.arange(20) % 2
    inward = model.inward[:-1, 0]
    assert (np.sign(inward) == np.sign(inward[0]) * np.where(colour == 0, 1, -1)).all(), "drawn signs are any"
    assert model.recommend(world.counts, k=1)[:, 0].tolist() == list(range(20))


def test_no_more_work_than_is_allowed() -> None:
    heard = sparse.csr_matrix((100, 500), dtype=np.float32)
    round_ = 6 * 100 * 500 * 8
    assert [Autoencoder(hidden=8, epochs=20, work=round_ * most).rounds(heard) for most in (0.5, 3, 50)] == [1, 3, 20]
    assert Autoencoder(epochs=20).rounds(sparse.csr_matrix((0, 0))) == 20
