"""The gate: what may serve, and what is said of what may not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender.gate import MARGIN, MIN_LISTENERS, Champion, judge
from music_assets.recommender.metrics import Evaluation, evaluate


def judged(mean: float, *, listeners: int = 400, noise: float = 0.05, seed: int = 0) -> Evaluation:
    ndcg = np.random.default_rng(seed).normal(mean, noise, listeners)
    blank = evaluate(np.full((listeners, 10), -1), sparse.csr_matrix((listeners, 5)), k=10, items=5)
    fields = {name: getattr(blank, name) for name in ("recall", "precision", "hit_rate", "mrr", "map", "coverage")}
    return Evaluation(k=10, ndcg=ndcg, **fields)


def test_what_surely_beats_popularity_is_released() -> None:
    verdict = judge("ease", judged(0.2, seed=1), judged(0.1, seed=2), None)
    assert verdict.released
    assert "released" in verdict.reason
    assert verdict.over_popularity is not None
    assert verdict.over_popularity.lower > 0


@pytest.mark.parametrize("mean", [0.0, 0.1, 0.1001])
def test_what_may_be_no_better_than_popularity_is_refused(mean: float) -> None:
    verdict = judge("ease", judged(mean, seed=1), judged(0.1, seed=2), None)
    assert not verdict.released
    assert "not surely above popularity" in verdict.reason


@pytest.mark.parametrize("listeners", [0, 7, MIN_LISTENERS - 1])
def test_too_few_listeners_cannot_release_the_best_model(listeners: int) -> None:
    verdict = judge("ease", judged(0.9, listeners=listeners), judged(0.1, listeners=listeners), None)
    assert not verdict.released
    assert f"{listeners} listeners can judge it, {MIN_LISTENERS} are needed" in verdict.reason


def test_a_new_recipe_must_beat_the_champion() -> None:
    champion = Champion(name="ease", evaluation=judged(0.2, seed=3), same_recipe=False)
    assert not judge("new", judged(0.2, seed=1), judged(0.1, seed=2), champion).released
    assert "champion ease" in judge("new", judged(0.2, seed=1), judged(0.1, seed=2), champion).reason
    assert judge("new", judged(0.25, seed=1), judged(0.1, seed=2), champion).released


def test_a_retrain_may_lose_a_little_and_no_more() -> None:
    champion = Champion(name="1-ease", evaluation=judged(0.2, seed=3), same_recipe=True)
    little = Evaluation(**{**champion.evaluation.__dict__, "ndcg": champion.evaluation.ndcg - 0.2 * MARGIN * 0.8})
    much = Evaluation(**{**champion.evaluation.__dict__, "ndcg": champion.evaluation.ndcg - 0.2 * MARGIN * 1.2})
    assert judge("ease", little, judged(0.1, seed=2), champion).released
    refused = judge("ease", much, judged(0.1, seed=2), champion)
    assert not refused.released
    assert "against its predecessor" in refused.reason


def test_a_retrain_must_still_beat_popularity() -> None:
    champion = Champion(name="1-ease", evaluation=judged(0.05, seed=3), same_recipe=True)
    assert not judge("ease", judged(0.09, seed=1), judged(0.1, seed=2), champion).released
