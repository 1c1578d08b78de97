"""What is tried follows the time given, and what is foreseen follows what trials took."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from music_assets.recommender.examples import Examples
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.recipes import Part, Recipe, Tuned, sampled
from music_assets.recommender.stacking import _Plan
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
