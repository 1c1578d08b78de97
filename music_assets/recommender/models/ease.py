"""EASE: each item predicted from all others by ridge regression in closed form (Steck, WWW 2019).

With the ridge that stands for dropout (EDLAE; Steck, NeurIPS 2020) and with listeners and items scaled by powers of
how much they were heard, so that neither heavy listeners nor hits outvote the rest. The inverse costs the cube of the
catalogue, so only the most heard items take part; the others keep their popularity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from music_assets.recommender.models.base import Listening, Model, Weighting, weigh
from music_assets.recommender.models.neighbours import ItemModel, strongest
from music_assets.recommender.names import EASE
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK: Final = 512


@dataclass(frozen=True)
class Ease(Model):
    """EASE over the most heard items.

    Attributes:
        strength: ridge, in units of the mean squared weight of a listen: one grid then fits counts of any scale.
        dropout: further ridge, as a share of each item's own square: p/(1-p) of the dropout p it stands for.
        listener_exponent: a listener's weights are divided by this power of their sum.
        item_exponent: an item's weights are divided by this power of its listeners, and its scores multiplied.
        weighting: log of the counts, or whether heard at all.
        max_items: size of the modelled catalogue; memory is 8 bytes times its square.
        min_listeners: an item heard by fewer has no neighbours worth the name.
        keep: neighbours kept for each item.
    """

    name: ClassVar[str] = EASE

    strength: float = 100.0
    dropout: float = 0.0
    listener_exponent: float = 0.0
    item_exponent: float = 0.0
    weighting: Weighting = "binary"
    max_items: int = 8000
    min_listeners: int = 2
    keep: int = 500

    def fit(self, listening: Listening) -> ItemModel:
        """Solve for the weights; float32, deterministic but for the last bits of the linear algebra."""
        listeners = listening.listeners
        heard = np.argsort(-listeners, kind="stable")[: self.max_items]
        modelled = np.sort(heard[listeners[heard] >= self.min_listeners])
        scale = np.power(listeners[modelled], self.item_exponent, dtype=np.float32)
        inverse = self._inverse(self._scaled(weigh(listening.counts[:, modelled], self.weighting), scale))
        size = len(listening.items)
        return ItemModel(
            items=listening.items,
            popularity=listeners.astype(np.float32),
            neighbours=_spread(_weights(inverse, scale, self.keep), modelled, size),
            weighting=self.weighting,
        )

    def _scaled(self, history: Any, scale: NDArray[np.float32]) -> Any:
        total = np.maximum(np.asarray(history.sum(axis=1)).ravel(), 1e-9)
        listener = np.power(total, -self.listener_exponent, dtype=np.float32)
        scaled: Any = (sparse.diags(listener) @ history @ sparse.diags(1 / scale)).tocsr().astype(np.float32)
        return scaled

    def _inverse(self, history: Any) -> NDArray[np.float32]:
        """Return the inverse of the regularised Gram matrix: float32, (items, items), symmetric."""
        if not history.nnz:
            return np.zeros((history.shape[1], history.shape[1]), dtype=np.float32)
        gram = (history.T @ history).toarray().astype(np.float32, copy=False)
        diagonal = np.diag_indices_from(gram)
        gram[diagonal] += self.strength * float(np.mean(history.data**2)) + self.dropout * gram[diagonal]
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


def _weights(inverse: NDArray[np.float32], scale: NDArray[np.float32], keep: int) -> Any:
    """Return the weights -P_ij / P_jj without the diagonal, from scaled items back to plain ones."""
    column = scale / np.where(np.diag(inverse) == 0, 1, -np.diag(inverse))

    def block(start: int, end: int) -> NDArray[np.float32]:
        return np.asarray(inverse[start:end] * column / scale[start:end, None], dtype=np.float32)

    return strongest(block, len(inverse), keep)


def _spread(weights: Any, modelled: NDArray[np.int64], size: int) -> Any:
    """Return the weights of some items as those of the whole catalogue."""
    if len(modelled) == size:
        return weights
    spread = sparse.csr_matrix(
        (np.ones(len(modelled), dtype=np.float32), (modelled, np.arange(len(modelled)))), shape=(size, len(modelled))
    )
    neighbours = (spread @ sparse.csr_matrix(weights) @ spread.T).tocsr().astype(np.float32)
    neighbours.sort_indices()
    return neighbours
