"""Off-policy estimates on a logging policy whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from music_assets.recommender.exploration import Pool, explore
from music_assets.recommender.offpolicy import Estimate, Log, dr, ips, mean, snips
from streaming.errors import ConfigurationError

ACTIONS = 8
RUNS = 60


def world(seed: int, *, size: int = 2000) -> tuple[Log, float]:
    """Contexts with true rewards, a logging policy that likes the wrong items, a target that likes the right ones."""
    random = np.random.default_rng(seed)
    truth = random.uniform(0.05, 0.6, size=(size, ACTIONS))
    logged = _softmax(-2 * truth)
    target = _softmax(4 * truth)
    action = (random.random((size, 1)) > logged.cumsum(axis=1)).sum(axis=1)
    place = np.arange(size)
    guessed = np.clip(truth + random.normal(0, 0.05, truth.shape), 0, 1)
    log = Log(
        reward=(random.random(size) < truth[place, action]).astype(np.float64),
        logged=logged[place, action],
        target=target[place, action],
        cluster=place // 5,
        guess=guessed[place, action],
        baseline=(target * guessed).sum(axis=1),
    )
    return log, float((target * truth).sum(axis=1).mean())


def _softmax(values: np.ndarray) -> np.ndarray:
    risen = np.exp(values)
    return risen / risen.sum(axis=1, keepdims=True)


@cache
def runs(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Errors and whether the truth lay in the interval, over many logs."""
    estimator = {"ips": ips, "snips": snips, "dr": dr}[name]
    errors, within = [], []
    for seed in range(RUNS):
        log, truth = world(seed)
        found = estimator(log)
        errors.append(found.mean - truth)
        within.append(found.lower <= truth <= found.upper)
    return np.array(errors), np.array(within)


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_estimates_are_unbiased_and_their_intervals_hold(name: str) -> None:
    errors, within = runs(name)
    assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(RUNS) + 1e-3
    assert within.mean() > 0.87, "95 % of 60 draws, less three deviations"


def test_what_was_seen_is_not_what_the_other_policy_earns() -> None:
    naive = np.array([mean(log.reward, log.cluster).mean - truth for log, truth in map(world, range(10))])
    assert naive.mean() < -0.05


def test_a_model_of_rewards_and_normalising_lower_the_variance() -> None:
    deviation = {name: runs(name)[0].std() for name in ("ips", "snips", "dr")}
    assert deviation["dr"] < 0.9 * deviation["ips"]
    assert deviation["snips"] < deviation["ips"]


def test_dr_is_right_if_propensities_or_guesses_are() -> None:
    errors: dict[str, list[float]] = {"wrong guess": [], "wrong propensities": [], "ips, wrong propensities": []}
    for seed in range(20):
        log, truth = world(seed)
        assert log.guess is not None
        assert log.baseline is not None
        off = replace(log, guess=np.full_like(log.guess, 0.5), baseline=np.full_like(log.baseline, 0.5))
        errors["wrong guess"].append(dr(off).mean - truth)
        flat = replace(log, logged=np.full_like(log.logged, 1 / ACTIONS))
        errors["wrong propensities"].append(dr(flat).mean - truth)
        errors["ips, wrong propensities"].append(ips(flat).mean - truth)
    assert abs(np.mean(errors["wrong guess"])) < 0.02
    assert abs(np.mean(errors["wrong propensities"])) < 0.02
    assert abs(np.mean(errors["ips, wrong propensities"])) > 0.04


def test_the_value_of_a_ranking_is_found_in_what_exploration_logged() -> None:
    """A pool item earns 0.5, a ranked one 0.1; the other policy shows p0 in place 1, else what was ranked."""
    random = np.random.default_rng(3)
    ranked, pool = ["r0", "r1"], [f"p{number}" for number in range(4)]
    rows = []
    for answer in range(20_000):
        for number, place in enumerate(explore(ranked, [Pool(pool, 0.4)], seed=str(answer))):
            wanted = place.item_id == ("p0" if number == 0 else ranked[number])
            liked = random.random() < (0.1 if place.pool is None else 0.5)
            rows.append((answer, place.propensity, float(wanted), liked))
    cluster, logged, target, reward = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    log = Log(reward=reward, logged=logged, target=target, cluster=cluster.astype(np.int64))
    for estimator in (ips, snips):
        found = estimator(log)
        assert found.lower < (0.5 + 0.1) / 2 < found.upper
        assert found.upper - found.lower < 0.08
    assert snips(log).effective < 0.5 * len(rows)


def test_whole_answers_are_drawn_not_places() -> None:
    reward = np.repeat(np.random.default_rng(1).integers(0, 2, 200).astype(np.float64), 10)
    clustered = mean(reward, np.arange(2000) // 10)
    apart = mean(reward, np.arange(2000))
    assert clustered.upper - clustered.lower > 2 * (apart.upper - apart.lower)


def test_what_cannot_be_estimated_says_so() -> None:
    one = np.ones(3)
    log = Log(reward=one, logged=one, target=np.zeros(3), cluster=np.arange(3))
    for nothing in (ips(log), snips(log), mean(np.zeros(0), np.zeros(0, dtype=np.int64))):
        assert isinstance(nothing, Estimate)
        assert np.isnan(nothing.mean)
    with pytest.raises(ConfigurationError, match="DR needs guess and baseline"):
        dr(log)
    for wrong, told in [
        ({"logged": np.zeros(3)}, "must lie above 0"),
        ({"target": np.ones(2)}, "must have one shape"),
        ({"guess": one}, "DR needs both"),
    ]:
        with pytest.raises(ConfigurationError, match=told):
            replace(log, **wrong)  # type: ignore[arg-type]
