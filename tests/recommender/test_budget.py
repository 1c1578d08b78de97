"""What is tried follows the time given, and what is foreseen follows what trials took."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from music_assets.recommender.examples import Examples
from music_assets.recommender.interactions import Counted
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.recipes import Part, Recipe, Tuned, sampled
from music_assets.recommender.stacking import _others, _Plan, folds
from music_assets.recommender.trees import grow
from music_assets.recommender.two_stage import feature_names
from tests.recommender.worlds import checkerboard, tastes

if TYPE_CHECKING:
    from music_assets.recommender.models.base import Listening
    from music_assets.recommender.models.neighbours import ItemModel


@dataclass(frozen=True)
class Slow(Popularity):
    """A model that takes its time."""

    seconds: float = 0.05

    def fit(self, listening: Listening) -> ItemModel:
        time.sleep(self.seconds)
        return super().fit(listening)


def test_no_trial_begins_that_may_end_too_late() -> None:
    world = checkerboard()
    part = Part(world, world.counts, world.counts)
    slower = Recipe("slow", Slow(), lambda trial: Slow(seconds=0.05 if trial.number < 3 else 0.4))
    begun = time.monotonic()
    tuned = slower.tune(part, k=5, trials=40, seconds=1.5)
    assert time.monotonic() - begun < 1.5
    assert 3 < tuned.trials < 8, "after the first dear one the next is foreseen to be as dear"
    assert tuned.fit_seconds >= 0.05
    assert 0 < tuned.rate_seconds < tuned.fit_seconds


def test_trials_learn_from_whole_listeners_up_to_a_number_of_listens() -> None:
    world = tastes(listeners=400)
    fewer = sampled(world, len(world) // 4)
    assert (fewer.users, fewer.items) == (world.users, world.items), "a history has the same columns as before"
    assert len(fewer) == pytest.approx(len(world) / 4, rel=0.25)
    heard = np.diff(fewer.counts.indptr)
    assert set(np.unique((heard / np.diff(world.counts.indptr)).round(6))) == {0.0, 1.0}
    assert sampled(world, len(world)) is world


def test_the_last_fits_and_the_judging_are_foreseen() -> None:
    one = Tuned(model=Popularity(), ndcg=0.1, trials=3, fit_seconds=4.0, rate_seconds=0.001)
    plan = _Plan.of({"a": one, "b": replace(one, fit_seconds=8.0)}, listeners=10_000)
    assert plan.fold == pytest.approx(12 + 6_000 * 0.002 * 2.5)
    assert plan.last == pytest.approx(12 * 5 / 4 + 10_000 * 0.002 * 2.5)
    assert plan.corrected(2 * plan.fold).last == pytest.approx(2 * plan.last), "twice as slow as foreseen"
    assert plan.corrected(plan.fold / 2) == _Plan(plan.fold / 2, plan.last), "a quick fold promises nothing"


def test_as_many_folds_are_rated_as_there_is_time_for_and_trees_can_look_at() -> None:
    rated = Examples(
        features=np.zeros((100_000, 1), dtype=np.float32),
        label=np.zeros(100_000, dtype=np.int8),
        group=np.full(1000, 100, dtype=np.int64),
        relevant=np.ones(1000, dtype=np.int64),
    )
    now, quick = time.monotonic(), _Plan(fold=10, last=0)
    assert quick.more([rated], now + 35, now + 10_000) == 3, "a fourth would end too late"
    assert quick.more([rated], now - 1, now + 10_000) == 0
    few = quick.more([rated], now + 200, now + 100)
    assert 0 < few < 8, "what the trees could not look at is not rated"
    assert quick.more([rated] * 12, now + 200, now + 100) == 0
    assert quick.more([rated], float("inf"), float("inf")) == 20, "it ends"


@pytest.mark.parametrize(("more", "apart"), [(0, 1 / 5), (3, 1 / 5), (4, 1 / 10), (20, 1 / 10)])
def test_smaller_parts_are_apart_where_there_is_time_for_several(more: int, apart: float) -> None:
    whole = tastes(listeners=300)
    listening = Counted(whole.items, whole.counts)
    first = next(folds(listening, 5))[1]
    parts = [part for _, part in _others(listening, more)]
    assert parts[0].nnz / whole.counts.nnz == pytest.approx(apart, abs=0.02)
    assert all((part != first).nnz for part in parts), "the first is not rated again"
    assert len(parts) == 20 + (4 if more < 4 else 0)


def test_trees_end_with_their_time() -> None:
    random = np.random.default_rng(0)
    listeners, each = 1500, 60
    features = random.normal(size=(listeners * each, 14)).astype(np.float32)
    label = (features[:, 0] + features[:, 1] * features[:, 2] + random.normal(size=len(features)) > 2).astype(np.int8)
    group = np.full(listeners, each, dtype=np.int64)
    examples = Examples(
        features=features, label=label, group=group, relevant=label.reshape(listeners, each).sum(axis=1)
    )
    names = feature_names([f"m{number}" for number in range(6)])
    begun = time.monotonic()
    trees = grow(examples, names, k=10, seconds=1)
    assert time.monotonic() - begun < 20
    assert 0 < trees.settings["rounds"] < 600
    assert trees.ndcg > 0.5
