"""The items whose vectors have the highest products with a query, found without reading every number of them.

The vectors are rounded to a byte per number, a quarter of the memory that a whole scan reads. How far rounding moves
a product is bounded by the lengths of query and rounding error (Cauchy-Schwarz), so whatever could belong to the best
is multiplied again with the true vector: the answer is exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from music_assets.recommender import kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTHING: Final = np.empty(0, dtype=np.int64)

_STEPS: Final = 127
_QUERY_STEPS: Final = 8191
"""So many that sums over 2,000 numbers still fit 32 bits."""

_SUMMED: Final = 1e-5
"""What sums of float32 in another order may differ by, as a share of the lengths."""


@dataclass(frozen=True, kw_only=True)
class Scores(ABC):
    """Scores of all items for one query.

    Attributes:
        base: what is added to the products, exact, float32, shape (items,); the score itself where there are none.
        mean: of the exact scores.
        deviation: of them, the standard one.
        vectors: float32, shape (items, numbers), or None.
        query: float32, shape (numbers,), or None.
    """

    base: NDArray[np.float32]
    mean: float
    deviation: float
    vectors: NDArray[np.float32] | None = None
    query: NDArray[np.float32] | None = None

    @abstractmethod
    def best(self, count: int, without: NDArray[np.int64] = NOTHING) -> NDArray[np.int64]:
        """Return the columns of the highest scores above minus infinity, best first, equals by column.

        Args:
            count: how many, at least 1.
            without: columns that are not returned; of them `of` may not be asked afterwards.
        """

    def of(self, columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the exact scores of some items."""
        found: NDArray[np.float32] = self.base[columns]
        if self.vectors is not None and self.query is not None:
            kernels.products(self.vectors, columns, self.query, found)
        return found


@dataclass(frozen=True, kw_only=True)
class Whole(Scores):
    """Scores of which each is known, not all exactly.

    Attributes:
        near: each within `times * error` of the exact one, float32, shape (items,).
        times: length of the query; 0 where all are exact.
        error: float32, shape (items,).
    """

    near: NDArray[np.float32]
    times: float
    error: NDArray[np.float32]

    @classmethod
    def exact(cls, scores: NDArray[np.float32]) -> Whole:
        """Return scores that need no second look."""
        mean, deviation = kernels.moments(scores)
        return cls(near=scores, times=0.0, error=scores, base=scores, mean=mean, deviation=deviation)

    def best(self, count: int, without: NDArray[np.int64] = NOTHING) -> NDArray[np.int64]:
        """Multiply again whatever may belong to them."""
        self.near[without] = -np.inf
        columns = kernels.reaching(self.near, self.error, self.times, count)
        return columns[np.argsort(-self.of(columns), kind="stable")[:count]]


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What mean and deviation of all products follow from, without a look at a single one.

    Attributes:
        total: sum of the vectors, float64, shape (numbers,).
        gram: of the vectors, float64, shape (numbers, numbers).
    """

    total: NDArray[np.float64]
    gram: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Sums:
        """Sum vectors up."""
        return cls(total=vectors.sum(axis=0, dtype=np.float64), gram=(vectors.T @ vectors).astype(np.float64))

    def moments(
        self, query: NDArray[np.floating[Any]], base: NDArray[np.float32], crossed: NDArray[np.floating[Any]]
    ) -> tuple[float, float]:
        """Return mean and deviation of the exact scores.

        Args:
            query: shape (numbers,).
            base: what is added, float32, shape (items,).
            crossed: sum of the vectors, each times its base, shape (numbers,).
        """
        query = query.astype(np.float64)
        mean, deviation = kernels.moments(base)
        square = mean**2 + deviation**2 + float(2 * query @ crossed + query @ self.gram @ query) / len(base)
        mean += float(query @ self.total) / len(base)
        return mean, float(np.sqrt(max(square - mean**2, 0.0)))


@dataclass(frozen=True, kw_only=True)
class Rounded:
    """Vectors beside their rounded form.

    Attributes:
        vectors: float32, shape (items, numbers).
        codes: int8, of the same shape.
        scale: what a step of a row's codes is worth, float32, shape (items,).
        error: at most so far is a rounded vector from the true one, float32, shape (items,).
        sums: of the vectors.
    """

    vectors: NDArray[np.float32]
    codes: NDArray[np.int8]
    scale: NDArray[np.float32]
    error: NDArray[np.float32]
    sums: Sums

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Rounded:
        """Round vectors, each on a scale of its own."""
        highest = np.abs(vectors).max(axis=1, initial=0)
        scale = (np.maximum(highest, np.finfo(np.float32).tiny * _STEPS) / _STEPS).astype(np.float32)
        codes = np.rint(vectors / scale[:, None]).astype(np.int8)
        off = np.linalg.norm(vectors - codes * scale[:, None], axis=1)
        # What rounding the query moves: half a step for each number, a step is at most its length over the steps.
        moved = np.sqrt(vectors.shape[1]) / (2 * _QUERY_STEPS) + _SUMMED
        off += moved * (np.linalg.norm(vectors, axis=1) + off)
        return cls(
            vectors=kernels.contiguous(vectors, np.float32), codes=codes, scale=scale, error=off.astype(np.float32),
            sums=Sums.of(vectors),
        )  # fmt: skip

    def products(
        self,
        query: NDArray[np.float32],
        base: NDArray[np.float32],
        crossed: NDArray[np.floating[Any]],
        near: NDArray[np.float32],
    ) -> Whole:
        """Return `base` and the products of all items with a query.

        Args:
            query: float32, shape (numbers,).
            base: what is added, exact, float32, shape (items,).
            crossed: sum of the vectors, each times its base, shape (numbers,).
            near: filled with the scores that are near, float32, shape (items,).
        """
        query = kernels.contiguous(query, np.float32)
        step = np.float32(max(np.abs(query).max(initial=0), np.finfo(np.float32).tiny * _QUERY_STEPS) / _QUERY_STEPS)
        kernels.add_products(base, self.codes, self.scale, np.rint(query / step).astype(np.int16), step, near)
        mean, deviation = self.sums.moments(query, base, crossed)
        return Whole(
            near=near, times=float(np.linalg.norm(query)), error=self.error, base=base, mean=mean, deviation=deviation,
            vectors=self.vectors, query=query,
        )  # fmt: skip
