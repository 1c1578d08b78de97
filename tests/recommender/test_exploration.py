"""Exploration: what is logged is the probability with which it happened."""

from __future__ import annotations

from collections import Counter

import pytest

from music_assets.recommender.exploration import Place, explore

RANKED = [f"r{number}" for number in range(4)]
POOL = [f"p{number}" for number in range(10)]
DRAWS = 20_000


def test_the_same_seed_gives_the_same_and_another_one_another() -> None:
    assert explore(RANKED, POOL, share=0.5, seed="a") == explore(RANKED, POOL, share=0.5, seed="a")
    assert len({tuple(explore(RANKED, POOL, share=0.5, seed=str(seed))) for seed in range(20)}) > 10


def test_every_item_comes_as_often_as_its_propensity_says() -> None:
    seen: list[Counter[str]] = [Counter() for _ in RANKED]
    said: list[dict[str, float]] = [{} for _ in RANKED]
    for seed in range(DRAWS):
        places = explore(RANKED, POOL, share=0.3, seed=f"answer-{seed}")
        assert len({place.item_id for place in places}) == len(RANKED)
        for number, place in enumerate(places):
            seen[number][place.item_id] += 1
            said[number][place.item_id] = place.propensity
    for counts, propensities in zip(seen, said, strict=True):
        assert sum(propensities.values()) == pytest.approx(1), "nothing else could have been shown"
        for item, propensity in propensities.items():
            assert counts[item] / DRAWS == pytest.approx(propensity, abs=5 * (propensity / DRAWS) ** 0.5)


@pytest.mark.parametrize(("share", "pool"), [(0.0, POOL), (0.9, []), (0.9, POOL[:3])])
def test_without_share_or_pool_nothing_is_given_away(share: float, pool: list[str]) -> None:
    assert explore(RANKED, pool, share=share, seed="a") == [Place(item, 1.0, explored=False) for item in RANKED]
