"""Popularity: what most listeners heard, lately if a half-life is given. The floor every other model must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from scipy import sparse

from music_assets.recommender.models.base import ItemModel, Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_assets.recommender.interactions import Interactions

_DAY: Final = 86_400_000_000


@dataclass(frozen=True)
class Popularity(Model):
    """Distinct listeners per item, each counted once at their last listen.

    Attributes:
        half_life_days: age at which a listener counts half; None: all count alike.
    """

    name: ClassVar[str] = "popularity"

    half_life_days: float | None = None

    def fit(self, interactions: Interactions) -> ItemModel:
        """Count listeners; age is measured from the last listen of all, so that no clock enters."""
        size = len(interactions.items)
        return ItemModel(
            items=interactions.items,
            popularity=self._counted(interactions),
            neighbours=sparse.csr_matrix((size, size), dtype=np.float32),
            weighting="binary",
        )

    def _counted(self, interactions: Interactions) -> NDArray[np.float32]:
        if self.half_life_days is None or not len(interactions):
            return interactions.listeners.astype(np.float32)
        order = np.argsort(-interactions.time, kind="stable")
        pair = interactions.user[order].astype(np.int64) * len(interactions.items) + interactions.item[order]
        last = order[np.unique(pair, return_index=True)[1]]
        age = (interactions.time.max() - interactions.time[last]) / (self.half_life_days * _DAY)
        counted = np.bincount(interactions.item[last], weights=0.5**age, minlength=len(interactions.items))
        return counted.astype(np.float32)
