"""Exploration: what is logged is the probability with which it happened."""

from __future__ import annotations

from collections import Counter

import pytest

from music_assets.recommender.exploration import Place, Pool, explore

RANKED = [f"r{number}" for number in range(4)]
POOL = [f"p{number}" for number in range(10)]
DRAWS = 20_000


def test_the_same_seed_gives_the_same_and_another_one_another() -> None:
    pools = [Pool(POOL, 0.5)]
    assert explore(RANKED, pools, seed="a") == explore(RANKED, pools, seed="a")
    assert len({tuple(explore(RANKED, pools, seed=str(seed))) for seed in range(20)}) > 10


@pytest.mark.parametrize(
    "pools",
    [
        [Pool(POOL, 0.3)],
        [Pool(POOL, 0.3), Pool(["n0", "n1", "n2", "n3", "n4"], 0.2)],
        [Pool(POOL, 0.3), Pool(["n0", "n1"], 0.4)],
        [Pool([], 0.3), Pool(["n0"], 0.4)],
    ],
    ids=["one", "two", "fewer than places", "none and one"],
)
def test_every_item_comes_as_often_as_its_propensity_says(pools: list[Pool]) -> None:
    seen: list[Counter[str]] = [Counter() for _ in RANKED]
    said: list[dict[str, float]] = [{} for _ in RANKED]
    for seed in range(DRAWS):
        places = explore(RANKED, pools, seed=f"answer-{seed}")
        assert len({place.item_id for place in places}) == len(RANKED)
        for number, place in enumerate(places):
            assert place.item_id in (RANKED if place.pool is None else pools[place.pool].items)
            seen[number][place.item_id] += 1
            said[number][place.item_id] = place.propensity
    for counts, propensities in zip(seen, said, strict=True):
        assert sum(propensities.values()) == pytest.approx(1), "nothing else could have been shown"
        for item, propensity in propensities.items():
            assert counts[item] / DRAWS == pytest.approx(propensity, abs=5 * (propensity / DRAWS) ** 0.5)


@pytest.mark.parametrize("pools", [[], [Pool(POOL, 0.0)], [Pool([], 0.9)]])
def test_without_share_or_pool_nothing_is_given_away(pools: list[Pool]) -> None:
    assert explore(RANKED, pools, seed="a") == [Place(item, 1.0, None) for item in RANKED]
