"""Real taste: who heard which artist how often, with times of our own because the data has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from music_assets.recommender.interactions import Interactions
from music_assets.recommender.metrics import difference, evaluate
from music_assets.recommender.models.ease import Ease
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.split import cutoff_of, split_at
from tests.recommender.worlds import DAY, START

if TYPE_CHECKING:
    from pathlib import Path


def hetrec(folder: Path, *, most: int = 100, days: int = 365, seed: int = 1) -> Interactions:
    """Each of a listener's artists gets its own first day and its listens after it."""
    random = np.random.default_rng(seed)
    user, artist, weight = np.loadtxt(folder / "user_artists.dat", skiprows=1, dtype=np.int64).T
    counts = np.clip(weight // 100, 1, most)
    first = random.uniform(0, days * DAY, len(user))
    pair = np.repeat(np.arange(len(user)), counts)
    time = first[pair] + random.uniform(0, 1, len(pair)) * (days * DAY - first[pair])
    time[np.cumsum(counts) - counts] = first
    batch = pa.record_batch(
        {
            "user_id": pa.array([f"{number:05d}" for number in user[pair]]),
            "item_id": pa.array([f"artist:{number}" for number in artist[pair]]),
            "listened_at": pa.array(time.astype(np.int64) + START),
        }
    )
    return Interactions.collect([batch])


def test_ease_is_twice_as_good_as_popularity_on_artists_first_heard_later(music_data: Path) -> None:
    world = hetrec(music_data / "hetrec_lastfm2k")
    split = split_at(world, cutoff_of(world))
    assert split.leak() is None
    assert split.listeners > 1800
    ease, popularity = (
        evaluate(model.recommend(split.history, k=10), split.test, k=10, items=len(model.items))
        for model in (Ease().fit(split.train), Popularity().fit(split.train))
    )
    assert ease.ndcg.mean() > 2 * popularity.ndcg.mean() > 0.1
    assert difference(ease.ndcg, popularity.ndcg).lower > popularity.ndcg.mean()
