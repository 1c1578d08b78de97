"""Popularity: what most listeners heard, lately if a half-life is given. The floor every other model must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from scipy import sparse

from music_assets.recommender.interactions import Interactions
from music_assets.recommender.models.base import Listening, Model
from music_assets.recommender.models.neighbours import ItemModel
from music_assets.recommender.names import POPULARITY
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DAY: Final = 86_400_000_000


@dataclass(frozen=True)
class Popularity(Model):
    """Distinct listeners per item, each counted once at their last listen.

    Attributes:
        half_life_days: age at which a listener counts half; None: all count alike.
    """

    name: ClassVar[str] = POPULARITY

    half_life_days: float | None = None

    def fit(self, listening: Listening) -> ItemModel:
        """Count listeners; age is measured from the last listen of all, so that no clock enters.

        Raises:
            ConfigurationError: a half-life is given for listens without times.
        """
        size = len(listening.items)
        return ItemModel(
            items=listening.items,
            popularity=self._counted(listening),
            neighbours=sparse.csr_matrix((size, size), dtype=np.float32),
            weighting="binary",
        )

    def _counted(self, interactions: Listening) -> NDArray[np.float32]:
        if self.half_life_days is None:
            return interactions.listeners.astype(np.float32)
        if not isinstance(interactions, Interactions):
            raise ConfigurationError("half_life_days: these listens have no times; valid: None")
        if not len(interactions):
            return interactions.listeners.astype(np.float32)
        order = np.argsort(-interactions.time, kind="stable")
        pair = interactions.user[order].astype(np.int64) * len(interactions.items) + interactions.item[order]
        last = order[np.unique(pair, return_index=True)[1]]
        age = (interactions.time.max() - interactions.time[last]) / (self.half_life_days * _DAY)
        counted = np.bincount(interactions.item[last], weights=0.5**age, minlength=len(interactions.items))
        return counted.astype(np.float32)
