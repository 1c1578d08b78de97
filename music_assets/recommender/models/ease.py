"""EASE: each item predicted from all others by ridge regression in closed form (Steck, WWW 2019).

With the ridge that stands for dropout (EDLAE; Steck, NeurIPS 2020) and with listeners and items scaled by powers of
how much they were heard, so that neither heavy listeners nor hits outvote the rest. The inverse costs the cube of the
catalogue, so only the most heard items, the head, take part in it; each of the others joins it by itself (`tail.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from music_assets.recommender.models.base import Listening, Model, Weighting, weigh
from music_assets.recommender.models.neighbours import ItemModel, strongest
from music_assets.recommender.models.tail import joined
from music_assets.recommender.names import EASE
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK: Final = 512


@dataclass(frozen=True)
class Ease(Model):
    """EASE over the most heard items, and the others beside it.

    Attributes:
        strength: ridge, in units of the mean squared weight of a listen: one grid then fits counts of any scale.
        dropout: further ridge, as a share of each item's own square: p/(1-p) of the dropout p it stands for.
        listener_exponent: a listener's weights are divided by this power of their sum.
        item_exponent: an item's weights are divided by this power of its listeners, and its scores multiplied.
        weighting: log of the counts, or whether heard at all.
        max_items: size of the head; memory is 8 bytes times its square.
        min_listeners: an item heard by fewer has no neighbours worth the name.
        keep: neighbours of the head kept for each of its items.
        near: items of the head by which one of the tail is known; 0 leaves the tail to its popularity.
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
    near: int = 32

    def fit(self, listening: Listening) -> ItemModel:
        """Solve for the weights; float32, deterministic but for the last bits of the linear algebra."""
        listeners = listening.listeners
        heard = np.argsort(-listeners, kind="stable")
        heard = heard[listeners[heard] >= self.min_listeners]
        head = np.sort(heard[: self.max_items])
        tail = np.sort(heard[self.max_items :] if self.near else heard[:0])
        return ItemModel(
            items=listening.items,
            popularity=listeners.astype(np.float32),
            neighbours=_spread(self._weights(listening, head, tail), np.concatenate([head, tail]), len(listeners)),
            weighting=self.weighting,
        )

    def _weights(self, listening: Listening, head: NDArray[np.int64], tail: NDArray[np.int64]) -> Any:
        """Return the weights of the head's items and then the tail's, CSR or array."""
        both = np.concatenate([head, tail])
        scale = np.power(listening.listeners[both], self.item_exponent, dtype=np.float32)
        history = self._scaled(weigh(listening.counts[:, both], self.weighting), scale)
        size = len(head)
        known, beyond = history[:, :size], history[:, size:]
        level = float(np.mean(known.data**2)) if known.nnz else 0.0
        gram = (known.T @ known).toarray().astype(np.float32, copy=False)
        gram[np.diag_indices_from(gram)] += self._ridge(known, level)
        joining = joined(gram, known, beyond, self._ridge(beyond, level), self.near) if len(tail) else None
        inverse = _inverse(gram, self.strength)
        weights = _weights(inverse, scale[:size], self.keep)
        if joining is None:
            return weights
        there = sparse.diags(1 / scale[:size]) @ joining.outward(size) @ sparse.diags(scale[size:])
        back = sparse.diags(1 / scale[size:]) @ joining.inward(np.diag(inverse)) @ sparse.diags(scale[:size])
        return sparse.bmat([[sparse.csr_matrix(weights), there], [back, None]], format="csr", dtype=np.float32)

    def _scaled(self, history: Any, scale: NDArray[np.float32]) -> Any:
        total = np.maximum(np.asarray(history.sum(axis=1)).ravel(), 1e-9)
        listener = np.power(total, -self.listener_exponent, dtype=np.float32)
        scaled: Any = (sparse.diags(listener) @ history @ sparse.diags(1 / scale)).tocsr().astype(np.float32)
        return scaled

    def _ridge(self, history: Any, level: float) -> NDArray[np.float32]:
        """Return the ridge of each item, shape (items,).

        Args:
            history: CSR, shape (listeners, items).
            level: mean squared weight of a listen.
        """
        square = np.asarray(history.multiply(history).sum(axis=0)).ravel()
        return np.asarray(self.strength * level + self.dropout * square, dtype=np.float32)


def _inverse(gram: NDArray[np.float32], strength: float) -> NDArray[np.float32]:
    """Return the inverse of a regularised Gram matrix, which is overwritten; zero where it is zero."""
    if not gram.any():
        return gram
    # LAPACK wants columns first; the transpose of a symmetric matrix is that without a copy.
    factor, failed = lapack.spotrf(gram.T, lower=1, overwrite_a=1)
    inverse, failed_too = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise IntegrityError(f"EASE cannot invert its Gram matrix at strength {strength}: raise the strength")
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
    if np.array_equal(modelled, np.arange(size)):
        return weights
    spread = sparse.csr_matrix(
        (np.ones(len(modelled), dtype=np.float32), (modelled, np.arange(len(modelled)))), shape=(size, len(modelled))
    )
    neighbours = (spread @ sparse.csr_matrix(weights) @ spread.T).tocsr().astype(np.float32)
    neighbours.sort_indices()
    return neighbours
