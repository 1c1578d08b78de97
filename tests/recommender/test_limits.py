"""What the gate holds beside the mean, and what it says of a challenger that breaks it."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender.gate import Verdict, judge
from music_assets.recommender.limits import (
    FOLD_IN_SECONDS,
    LISTENS_KEPT,
    Opponent,
    as_table,
    of_coverage,
    of_latency,
    of_listens,
    of_slices,
    of_withdrawal,
)
from music_assets.recommender.models.ease import Ease
from music_assets.recommender.models.neighbours import ItemModel
from music_assets.recommender.releases import Withdrawal
from music_assets.recommender.slices import NEW_ITEMS, slices
from tests.recommender.test_gate import judged
from tests.recommender.worlds import checkerboard

LISTENERS = 400


def histories(lengths: list[int], items: int = 50) -> sparse.csr_matrix:
    """Listener n heard the first `lengths[n]` items once."""
    indices = np.concatenate([np.arange(length) for length in lengths])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_matrix((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=(len(lengths), items))


HISTORY = histories([2] * 100 + [10] * 200 + [40] * 100)
POPULARITY = np.arange(50, 0, -1).astype(np.float32)


def verdict(*limits: object) -> Verdict:
    return judge("ease", judged(0.2, seed=1), judged(0.1, seed=2), None, limits)  # type: ignore[arg-type]


def test_slices_are_the_new_the_heavy_and_those_of_the_tail() -> None:
    found = slices(HISTORY, POPULARITY)
    assert found["new"].nonzero()[0].tolist() == list(range(100))
    assert found["heavy"].nonzero()[0].tolist() == list(range(300, 400))
    assert found["niche"].nonzero()[0].tolist() == list(range(300, 400)), "the first items are the most popular"
    assert slices(HISTORY, POPULARITY[::-1])["niche"][:100].all()
    assert slices(histories([NEW_ITEMS, NEW_ITEMS + 1]), POPULARITY)["new"].tolist() == [True, False]
    assert {name: len(mask) for name, mask in slices(HISTORY[:0], POPULARITY).items()} == {
        "new": 0, "heavy": 0, "niche": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("name", "part"), [("new", slice(0, 100)), ("heavy", slice(300, 400))])
def test_a_mean_that_rose_does_not_pay_for_a_slice_that_fell(name: str, part: slice) -> None:
    champion = judged(0.2, seed=3)
    ndcg = champion.ndcg + 0.1
    ndcg[part] -= 0.15
    challenger = replace(champion, ndcg=ndcg)
    limits = of_slices(challenger, Opponent(name="v1", evaluation=champion), HISTORY, POPULARITY)
    assert name in [limit.name.split()[2] for limit in limits if not limit.holds]
    refused = verdict(*limits)
    assert not refused.released
    assert f"its 100 {name} listeners lose NDCG@10 against v1: -0.05" in refused.reason


def test_noise_in_a_slice_and_slices_of_a_few_refuse_nobody() -> None:
    champion = judged(0.2, seed=3)
    for seed in range(10):
        limits = of_slices(judged(0.2, seed=seed), Opponent(name="v1", evaluation=champion), HISTORY, POPULARITY)
        assert all(limit.holds for limit in limits), limits
    few = histories([2] * 29 + [10] * (LISTENERS - 29))
    worse = replace(champion, ndcg=champion.ndcg - 0.1 * (np.arange(LISTENERS) < 29))
    limits = of_slices(worse, Opponent(name="v1", evaluation=champion), few, POPULARITY)
    assert not any("new" in limit.name for limit in limits)


def test_a_challenger_that_shows_fewer_items_is_refused() -> None:
    champion = Opponent(name="v1", evaluation=replace(judged(0.2), coverage=0.5))
    assert of_coverage(replace(judged(0.2), coverage=0.36), champion).holds
    broken = of_coverage(replace(judged(0.2), coverage=0.34), champion)
    assert not broken.holds
    assert "it shows 34.0% of the catalogue, v1 50.0%" in verdict(broken).reason


@dataclass(frozen=True, kw_only=True)
class Slow(ItemModel):
    """Burns CPU with every answer."""

    def fold_in(self, *args, **options):  # type: ignore[no-untyped-def]
        end = time.thread_time() + 2 * FOLD_IN_SECONDS
        while time.thread_time() < end:
            pass
        return super().fold_in(*args, **options)


def test_a_slow_challenger_is_refused() -> None:
    world = checkerboard()
    model = Ease(strength=1).fit(world)
    assert of_latency(model, world.counts).holds
    slow = of_latency(Slow(**{each.name: getattr(model, each.name) for each in fields(model)}), world.counts[:3])
    assert not slow.holds
    assert "of CPU at the 99th percentile, 10 ms are allowed" in verdict(slow).reason


def test_lost_listens_refuse_and_erased_ones_do_not() -> None:
    champion = Opponent(name="v1", evaluation=judged(0.2), cutoff=1000, listens=1000)
    times = np.arange(1200, dtype=np.int64)
    assert of_listens(times[int(1000 * (1 - LISTENS_KEPT)) :], champion)[0].holds
    [broken] = of_listens(times[::2], champion)
    assert not broken.holds
    assert "of the 1000 listens before 1970-01-01 that v1 learned from 500 are left" in verdict(broken).reason
    assert of_listens(times[::2], replace(champion, listens=0)) == []


def test_what_was_rolled_back_is_refused_and_every_objection_is_told() -> None:
    back = Withdrawal(version="v7", at="2026-01-01T00:00:00+00:00", recipe="ease", settings={}, data_until=1)
    assert of_withdrawal(None).holds
    worse = of_coverage(
        replace(judged(0.2), coverage=0.1), Opponent(name="v1", evaluation=replace(judged(0.2), coverage=1))
    )
    said = judge("ease", judged(0.1, seed=1), judged(0.1, seed=2), None, [of_withdrawal(back), worse])
    assert not said.released
    for part in ("not surely above popularity", "it is v7 again, which was rolled back at 2026", "it shows 10.0%"):
        assert part in said.reason
    assert as_table(said.limits).count("BROKEN") == 2
