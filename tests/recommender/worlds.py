"""Small worlds whose right answers are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from music_assets.recommender.interactions import Interactions
from music_assets.recommender.item_features import ItemFeatures

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY = 86_400_000_000
START = 1_700_000_000_000_000


def listens(rows: Iterable[tuple[str, str, int]]) -> Interactions:
    """Interactions of (listener, item, microseconds since START)."""
    users, items, times = zip(*rows, strict=True)
    batch = pa.record_batch(
        {"user_id": pa.array(users), "item_id": pa.array(items), "listened_at": pa.array(times, pa.int64())}
    )
    return Interactions.collect([batch.set_column(2, "listened_at", pa.array(np.asarray(times) + START))])


def checkerboard(size: int = 20) -> Interactions:
    """Each even listener heard each even item, each odd one each odd, but for the item of their own number.

    The items' tags say which is even."""
    world = listens(
        (f"u{user:02d}", f"i{item:02d}", user + item)
        for user in range(size)
        for item in range(size)
        if user % 2 == item % 2 and user != item
    )
    return replace(world, features=features((f"i{item:02d}", "tag", f"colour {item % 2}", 1) for item in range(size)))


def features(rows: Iterable[tuple[str, str, str, float]]) -> ItemFeatures:
    """Features of (item, group, feature, value)."""
    item, group, feature, value = (list(column) for column in zip(*rows, strict=True))
    columns = {"item_id": item, "group": group, "feature": feature, "value": pa.array(value, pa.float32())}
    return ItemFeatures.collect([pa.record_batch(columns)])


def tastes(*, listeners: int = 150, groups: int = 3, seed: int = 1, days: int = 100) -> Interactions:
    """Listeners of one genre each discover its items one after the other, at random, over the days."""
    random = np.random.default_rng(seed)
    rows = []
    for listener in range(listeners):
        favourites = np.arange(20) * groups + listener % groups
        for item in random.choice(favourites, 12, replace=False):
            first = random.integers(0, days * DAY)
            rows += [(f"u{listener:03d}", f"track:{item:02d}", int(first))] * int(random.integers(1, 4))
    return listens(rows)


def shuffled(world: Interactions, seed: int = 2) -> Interactions:
    """The same listens with the items dealt out at random."""
    item = np.random.default_rng(seed).permutation(world.item)
    return replace(world, item=item)
