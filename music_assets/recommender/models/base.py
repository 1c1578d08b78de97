"""What every candidate model is: settings with a `fit`, and the item-based form that measuring and serving share.

The fitted form holds items, their popularity and a short list of weighted neighbours for each, so it knows no
listener: a history is folded in at the moment of asking. The same object is measured, stored and served; there is
no second implementation that could rank otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_assets.recommender.interactions import Interactions

Weighting = Literal["binary", "log"]

PRIOR_WEIGHT: Final = 1e-4
"""How much popularity adds to a score: it breaks ties and orders what no neighbour speaks for, and no more."""

_BLOCK: Final = 256
"""Listeners scored at once: bounds the dense block to 256 rows of the catalogue."""


def weigh(counts: Any, weighting: Weighting) -> Any:
    """Turn listens per item (CSR or array) into the weights a model learns from, float32."""
    if sparse.issparse(counts):
        weighted = counts.astype(np.float32, copy=True)
        weighted.data = weigh(weighted.data, weighting)
        return weighted
    return np.log1p(counts) if weighting == "log" else (np.asarray(counts) > 0).astype(np.float32)


@dataclass(frozen=True)
class Reason:
    """Why an item is in an answer: `because` is the column of the item heard that spoke most for it, or None."""

    because: int | None


@dataclass(frozen=True, kw_only=True)
class ItemModel:
    """A fitted model.

    Attributes:
        items: the catalogue, in the order of the columns.
        popularity: non-negative, higher is more popular, float32, shape (items,).
        neighbours: weight with which a heard item (row) speaks for another (column): CSR float32, (items, items).
        weighting: how a history's counts become weights.
    """

    items: tuple[str, ...]
    popularity: NDArray[np.float32]
    neighbours: Any
    weighting: Weighting

    @cached_property
    def column(self) -> dict[str, int]:
        """Item id to column."""
        return {item: position for position, item in enumerate(self.items)}

    @cached_property
    def by_popularity(self) -> NDArray[np.int64]:
        """Columns, the most popular first, equals in the order of their ids."""
        return np.argsort(-self.popularity, kind="stable")

    @cached_property
    def prior(self) -> NDArray[np.float32]:
        """A score in (0, PRIOR_WEIGHT] by rank of popularity, without ties."""
        prior = np.empty(len(self.items), dtype=np.float32)
        prior[self.by_popularity] = np.linspace(PRIOR_WEIGHT, 0, len(self.items), endpoint=False, dtype=np.float32)
        return prior

    def score(self, history: Any) -> NDArray[np.float32]:
        """Score every item for each row of a history of counts.

        Args:
            history: CSR, shape (listeners, items).

        Returns:
            Dense block, float32, shape (listeners, items).
        """
        spoken = (weigh(history, self.weighting) @ self.neighbours).toarray()
        return np.asarray(spoken + self.prior, dtype=np.float32)

    def recommend(self, history: Any, *, k: int) -> NDArray[np.int64]:
        """Rank what each listener has not heard.

        Args:
            history: CSR of counts, shape (listeners, items).
            k: length of the lists.

        Returns:
            Columns best first, -1 where the catalogue ends, int64, shape (listeners, k).
        """
        ranked = np.full((history.shape[0], k), -1, dtype=np.int64)
        for start in range(0, history.shape[0], _BLOCK):
            rows = history[start : start + _BLOCK]
            scores = self.score(rows)
            scores[rows.nonzero()] = -np.inf
            best = top(scores, k)
            ranked[start : start + _BLOCK, : best.shape[1]] = best
        return ranked

    def similar(self, item: int, *, k: int) -> list[tuple[int, float]]:
        """Return (column, weight) of the items that listening to this one speaks for, best first."""
        row = self.neighbours[item]
        best = np.lexsort((row.indices, -row.data))[:k]
        return [(int(row.indices[place]), float(row.data[place])) for place in best if row.data[place] > 0]

    def fold_in(
        self, heard: NDArray[np.int64], counts: NDArray[np.float32], *, k: int, exclude: NDArray[np.int64]
    ) -> list[tuple[int, float, Reason]]:
        """Answer one history: (column, score, reason), best first, without what is heard or excluded."""
        weights = weigh(counts, self.weighting).astype(np.float32)
        rows = self.neighbours[heard]
        scores = np.asarray(rows.T @ weights + self.prior, dtype=np.float32)
        scores[heard] = -np.inf
        scores[exclude] = -np.inf
        best = top(scores[None, :], k)[0]
        best = best[best >= 0]
        because = _loudest(rows, weights, best)
        return [
            (int(column), float(scores[column]), Reason(int(heard[row]) if row >= 0 else None))
            for column, row in zip(best, because, strict=True)
        ]

    def aligned(self, items: tuple[str, ...]) -> ItemModel:
        """Return the same model over another catalogue; items it does not know have no popularity and no neighbours."""
        known = np.asarray([self.column.get(item, -1) for item in items], dtype=np.int64)
        rows = np.flatnonzero(known >= 0)
        ones = np.ones(len(rows), dtype=np.float32)
        select = sparse.csr_matrix((ones, (rows, known[rows])), shape=(len(items), len(self.items)))
        return ItemModel(
            items=items,
            popularity=np.asarray(select @ self.popularity, dtype=np.float32),
            neighbours=(select @ self.neighbours @ select.T).tocsr(),
            weighting=self.weighting,
        )


@dataclass(frozen=True)
class Model(ABC):
    """A candidate model before it has seen data: a frozen dataclass of settings."""

    name: ClassVar[str]

    @abstractmethod
    def fit(self, interactions: Interactions) -> ItemModel:
        """Learn from interactions; the same ones give the same model."""


def top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the columns of the k highest finite scores of each row, best first, equals by column; -1 beyond them."""
    k = min(k, scores.shape[1])
    if k <= 0:
        return np.empty((len(scores), 0), dtype=np.int64)
    best = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    chosen = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-chosen, axis=1, kind="stable")
    ranked = np.take_along_axis(best, order, axis=1)
    return np.where(np.isfinite(np.take_along_axis(chosen, order, axis=1)), ranked, -1)


def _loudest(rows: Any, weights: NDArray[np.float32], best: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each column in `best` the row that speaks most for it, or -1 where none speaks for it at all."""
    place = np.full(rows.shape[1], -1, dtype=np.int32)
    place[best] = np.arange(len(best))
    said = np.flatnonzero(place[rows.indices] >= 0)
    row = np.searchsorted(rows.indptr, said, side="right") - 1
    volume = rows.data[said] * weights[row]
    order = np.argsort(volume, kind="stable")
    order = order[volume[order] > 0]
    loudest = np.full(len(best), -1, dtype=np.int64)
    loudest[place[rows.indices[said[order]]]] = row[order]
    return loudest
