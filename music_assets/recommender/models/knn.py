"""Item-kNN: the cosine between items over their listeners, shrunk where few speak (Deshpande & Karypis, TOIS 2004)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from music_assets.recommender.models.base import Listening, Model, Weighting, weigh
from music_assets.recommender.models.neighbours import ItemModel, likeness, strongest
from music_assets.recommender.names import ITEM_KNN


@dataclass(frozen=True)
class ItemKnn(Model):
    """Cosine of items.

    Attributes:
        shrink: added to the product of the norms, so that a likeness seen twice counts less than one seen often.
        hub: power of the reached item's norm: 0.5 is the cosine, less lets hits through, more holds them back.
        activity: a listener's say is divided by this power of the number of items heard.
        weighting: log of the counts, or whether heard at all.
        keep: neighbours kept for each item.
    """

    name: ClassVar[str] = ITEM_KNN

    shrink: float = 10.0
    hub: float = 0.5
    activity: float = 0.5
    weighting: Weighting = "binary"
    keep: int = 200

    def fit(self, listening: Listening) -> ItemModel:
        """Compare items, some at a time."""
        history = weigh(listening.counts, self.weighting)
        heard = np.maximum(np.diff(history.indptr), 1).astype(np.float32)
        columns: Any = history.tocsc()
        spoken = (sparse.diags(heard**-self.activity) @ history).tocsr()
        square = np.asarray(columns.multiply(columns).sum(axis=0)).ravel().astype(np.float32)
        block = likeness(history, spoken, square ** (1 - self.hub), square**self.hub, self.shrink)
        return ItemModel(
            items=listening.items,
            popularity=listening.listeners.astype(np.float32),
            neighbours=strongest(block, len(listening.items), self.keep),
            weighting=self.weighting,
        )
