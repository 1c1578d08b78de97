"""EASE: each item predicted from all others by ridge regression in closed form (Steck, WWW 2019).

The inverse costs the cube of the catalogue, so only the most heard items take part; the others keep their
popularity. What is kept of the weight matrix are the strongest neighbours of each item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from music_assets.recommender.models.base import ItemModel, Model, Weighting, weigh
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_assets.recommender.interactions import Interactions

_BLOCK = 512


@dataclass(frozen=True)
class Ease(Model):
    """EASE over the most heard items.

    Attributes:
        strength: ridge, in units of the mean squared weight of a listen: one grid then fits counts of any scale.
        weighting: log of the counts, or whether heard at all.
        max_items: size of the modelled catalogue; memory is 8 bytes times its square.
        min_listeners: an item heard by fewer has no neighbours worth the name.
        keep: neighbours kept for each item.
    """

    name: ClassVar[str] = "ease"

    strength: float = 100.0
    weighting: Weighting = "binary"
    max_items: int = 8000
    min_listeners: int = 2
    keep: int = 200

    def fit(self, interactions: Interactions) -> ItemModel:
        """Solve for the weights; float32, deterministic but for the last bits of the linear algebra."""
        listeners = interactions.listeners
        heard = np.argsort(-listeners, kind="stable")[: self.max_items]
        modelled = np.sort(heard[listeners[heard] >= self.min_listeners])
        history = weigh(interactions.counts[:, modelled], self.weighting)
        kept = _strongest(self._inverse(history), self.keep)
        size = len(interactions.items)
        spread = sparse.csr_matrix(
            (np.ones(len(modelled), dtype=np.float32), (modelled, np.arange(len(modelled)))),
            shape=(size, len(modelled)),
        )
        neighbours = (spread @ kept @ spread.T).tocsr()
        neighbours.sort_indices()
        return ItemModel(
            items=interactions.items,
            popularity=listeners.astype(np.float32),
            neighbours=neighbours.astype(np.float32),
            weighting=self.weighting,
        )

    def _inverse(self, history: Any) -> NDArray[np.float32]:
        """Return the inverse of the regularised Gram matrix: float32, (items, items), symmetric."""
        if not history.nnz:
            return np.zeros((history.shape[1], history.shape[1]), dtype=np.float32)
        gram = (history.T @ history).toarray().astype(np.float32, copy=False)
        gram[np.diag_indices_from(gram)] += self.strength * float(np.mean(history.data**2))
        # LAPACK wants columns first; the transpose of a symmetric matrix is that without a copy.
        factor, failed = lapack.spotrf(gram.T, lower=1, overwrite_a=1)
        inverse, failed_too = lapack.spotri(factor, lower=1, overwrite_c=1)
        if failed or failed_too:
            raise IntegrityError(f"EASE cannot invert its Gram matrix at strength {self.strength}: raise the strength")
        return _mirrored(inverse)


def _mirrored(lower: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill the upper triangle from the lower one in place, block by block: a whole copy would double the memory."""
    for start in range(0, len(lower), _BLOCK):
        end = min(start + _BLOCK, len(lower))
        corner = np.tril(lower[start:end, start:end])
        lower[start:end, start:end] = corner + np.tril(corner, -1).T
        lower[start:end, end:] = lower[end:, start:end].T
    return lower.T


def _strongest(inverse: NDArray[np.float32], keep: int) -> Any:
    """Return the weights -P_ij / P_jj without the diagonal, the largest in size of each row: CSR."""
    size = len(inverse)
    scale = np.where(np.diag(inverse) == 0, 1, -np.diag(inverse))
    if not size:
        return sparse.csr_matrix((0, 0), dtype=np.float32)
    keep = min(keep, size)
    blocks = []
    for start in range(0, size, _BLOCK):
        weights = inverse[start : start + _BLOCK] / scale
        rows = np.arange(len(weights))
        weights[rows, start + rows] = 0
        columns = np.argpartition(-np.abs(weights), keep - 1, axis=1)[:, :keep]
        values = np.take_along_axis(weights, columns, axis=1)
        block = sparse.csr_matrix(
            (values.ravel(), columns.ravel(), np.arange(len(weights) + 1) * keep), shape=(len(weights), size)
        )
        block.eliminate_zeros()
        blocks.append(block)
    return sparse.vstack(blocks, format="csr")
