"""Listens with planted structure: clusters of taste, hits within each, a few heavy listeners and many light ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from music_assets.recommender.interactions import Interactions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLUSTERS: Final = 100
_OWN: Final = 2
_FAITHFUL: Final = 0.8
"""Share of the listens that go to a listener's own clusters; the others go to any."""

_DAYS: Final = 180
_START: Final = 1_700_000_000_000_000
_DAY: Final = 86_400_000_000
_SEED: Final = 11


def planted(*, listeners: int, items: int, listens: int) -> Interactions:
    """Return listens of a world that a model can learn.

    Each listener likes `_OWN` clusters, the popularity in a cluster falls with the rank, and how much somebody hears
    is log-normal. The same sizes give the same listens.

    Args:
        listeners: in the vocabulary; one of few listens may have none.
        items: in the vocabulary, at least one per cluster.
        listens: how many.
    """
    random = np.random.default_rng(_SEED)
    activity = random.lognormal(0, 1, listeners)
    user = random.choice(listeners, listens, p=activity / activity.sum()).astype(np.int32)
    clusters = min(_CLUSTERS, items)
    liked = random.integers(0, clusters, (listeners, _OWN))
    own = liked[user, random.integers(0, _OWN, listens)]
    cluster = np.where(random.random(listens) < _FAITHFUL, own, random.integers(0, clusters, listens))
    return Interactions(
        users=tuple(f"listener:{number:07d}" for number in range(listeners)),
        items=tuple(f"track:{number:07d}" for number in range(items)),
        user=user,
        item=_items(cluster, random.random(listens), clusters, items),
        time=_START + random.integers(0, _DAYS * _DAY, listens),
    )


def _items(cluster: NDArray[np.int64], drawn: NDArray[np.float64], clusters: int, items: int) -> NDArray[np.int32]:
    """Return an item of each cluster, drawn with a chance that falls as one over its rank."""
    size = items // clusters
    rank = np.minimum(np.exp(drawn * np.log(size + 1)).astype(np.int64) - 1, size - 1)
    chosen: NDArray[np.int32] = (cluster + clusters * rank).astype(np.int32)
    return chosen
