"""RP3beta: a walk of three steps from item to listener to item, hits held back (Paudel et al., TiiS 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from music_assets.recommender.models.base import Listening, Model, Weighting, weigh
from music_assets.recommender.models.neighbours import ItemModel, strongest
from music_assets.recommender.names import RP3BETA


@dataclass(frozen=True)
class Walk(Model):
    """The walk.

    Attributes:
        alpha: power of both steps' probabilities.
        beta: a reached item's score is divided by this power of its listeners.
        weighting: log of the counts, or whether heard at all.
        keep: neighbours kept for each item.
    """

    name: ClassVar[str] = RP3BETA

    alpha: float = 0.6
    beta: float = 0.4
    weighting: Weighting = "binary"
    keep: int = 200

    def fit(self, listening: Listening) -> ItemModel:
        """Multiply the steps, some items at a time."""
        history = weigh(listening.counts, self.weighting)
        item = _power(history.sum(axis=0), -self.alpha)
        held_back = sparse.diags(_power(listening.listeners, -self.beta))
        onwards = sparse.diags(_power(history.sum(axis=1), -self.alpha)) @ _raised(history, self.alpha)
        step = (onwards @ held_back).tocsr()
        back = (sparse.diags(item) @ _raised(history, self.alpha).T).tocsr()
        return ItemModel(
            items=listening.items,
            popularity=listening.listeners.astype(np.float32),
            neighbours=strongest(lambda start, end: back[start:end] @ step, len(listening.items), self.keep),
            weighting=self.weighting,
        )


def _raised(history: Any, power: float) -> Any:
    raised = history.copy()
    raised.data = raised.data**power
    return raised


def _power(sums: Any, power: float) -> Any:
    """Return sums to a power, float32, with 0 for what was never heard."""
    flat = np.asarray(sums, dtype=np.float64).ravel()
    return np.where(flat > 0, np.power(np.maximum(flat, 1e-12), power), 0).astype(np.float32)
