"""Candidates with their outcome: what the trees of the second stage learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from music_assets.recommender.models.blocks import each_block
from music_assets.recommender.two_stage import PER_MODEL, places, propose, rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from music_assets.recommender.models.base import FittedModel


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Candidates with their outcome.

    Attributes:
        features: float32, shape (candidates, features).
        label: whether the listener heard it afterwards, int8.
        group: candidates per listener, int64; their sum is the number of candidates.
        relevant: items per listener that were heard afterwards, proposed or not, int64.
    """

    features: NDArray[np.float32]
    label: NDArray[np.int8]
    group: NDArray[np.int64]
    relevant: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """Put examples of several folds together."""
        return cls(
            features=np.concatenate([part.features for part in parts]),
            label=np.concatenate([part.label for part in parts]),
            group=np.concatenate([part.group for part in parts]),
            relevant=np.concatenate([part.relevant for part in parts]),
        )

    def drawn(self, share: float, seed: int) -> NDArray[np.bool_]:
        """Draw a share of the listeners: bool, shape (listeners,)."""
        return np.random.default_rng(seed).random(len(self.group)) < share

    def of(self, listeners: NDArray[np.bool_]) -> Examples:
        """Return the candidates of some listeners: bool, shape (listeners,)."""
        rows = np.repeat(listeners, self.group)
        return Examples(
            features=self.features[rows],
            label=self.label[rows],
            group=self.group[listeners],
            relevant=self.relevant[listeners],
        )

    def ndcg(self, scores: NDArray[Any], k: int) -> float:
        """Return the mean NDCG@k of the candidates in the order of scores; equals keep their order."""
        row = np.repeat(np.arange(len(self.group)), self.group)
        place = places(scores, row)
        gains = np.where(place < k, self.label / np.log2(place + 2), 0)
        ideal = np.concatenate([[1.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])[np.minimum(self.relevant, k)]
        judged = self.relevant > 0
        listeners = np.bincount(row, weights=gains, minlength=len(self.group)) / ideal
        return float(listeners[judged].mean()) if judged.any() else 0.0


def examples(models: Sequence[FittedModel], history: Any, test: Any, *, per_model: int = PER_MODEL) -> Examples:
    """Return what the models propose to listeners, with what was heard of it in a part they have not seen.

    Args:
        models: fitted without the test part.
        history: CSR of counts, shape (listeners, items): what the models fold in.
        test: CSR, the same listeners, non-zero where an item was heard afterwards; more columns are passed over.
        per_model: candidates of each model.
    """
    return Examples.joined(
        each_block(lambda block: _labelled(models, history[block], test[block], per_model), history.shape[0])
    )


def _labelled(models: Sequence[FittedModel], history: Any, test: Any, per_model: int) -> Examples:
    found = propose(rate(models, history), history, models[0].popularity, per_model=per_model)
    heard = np.zeros(history.shape, dtype=bool)
    rows, columns = test[:, : history.shape[1]].nonzero()
    heard[rows, columns] = True
    return Examples(
        features=found.features,
        label=heard[found.row, found.column].astype(np.int8),
        group=np.bincount(found.row, minlength=history.shape[0]).astype(np.int64),
        relevant=np.diff(test.indptr).astype(np.int64),
    )
