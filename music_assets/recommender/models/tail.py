"""EASE beyond its catalogue: each item of the tail joins the head by itself, through a few items of the head.

The inverse over all items costs the cube of their number. Here a tail item is predicted by ridge regression from the
head items that are nearest to it, on these alone (as in SLIM with selected features; Ning & Karypis, ICDM 2011), which
costs the same for every item. From that follows what it says of them: the inverse of a matrix to which one row and
column is added is known from the regression of that row (Schur complement). What tail items say of each other is left
out: it is all that grows with the square of the tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK: Final = 256
"""Tail items solved for at once: bounds their systems (1 MB at 32 x 32) and what they share with the head (8 MB)."""

_LEAST: Final = 1e-6


@dataclass(frozen=True)
class Tail:
    """What tail items and the head say of each other, in the scaled items of EASE.

    Attributes:
        nearest: per tail item the rows of its head items, ascending, int64, shape (tail, near).
        weights: with which each of these speaks for the tail item, float32, same shape.
        left: what the head leaves unexplained of each tail item and its ridge, float32, shape (tail,).
    """

    nearest: NDArray[np.int64]
    weights: NDArray[np.float32]
    left: NDArray[np.float32]

    def outward(self, head: int) -> Any:
        """Return the weights of head items (rows) for tail items (columns): CSR, shape (head, tail)."""
        return self._placed(self.weights, head).T.tocsr()

    def inward(self, inverse: NDArray[np.float32]) -> Any:
        """Return the weights of tail items (rows) for head items (columns): CSR, shape (tail, head).

        Args:
            inverse: diagonal of the head's inverse, shape (head,).
        """
        # With P of head and this item: P_th = -w_h / left, and P_hh grows by w_h squared / left.
        through = self.weights / self.left[:, None]
        said = through / (inverse[self.nearest] + through * self.weights)
        return self._placed(np.asarray(said, dtype=np.float32), len(inverse))

    def _placed(self, values: NDArray[np.float32], head: int) -> Any:
        ends = np.arange(len(self.nearest) + 1) * self.nearest.shape[1]
        shape = (len(self.nearest), head)
        # A copy: taking zeros away moves what is stored.
        placed = sparse.csr_matrix((values.ravel(), self.nearest.ravel(), ends), shape=shape, copy=True)
        placed.eliminate_zeros()
        return placed


def joined(gram: NDArray[np.float32], head: Any, tail: Any, ridge: NDArray[np.float32], near: int) -> Tail:
    """Solve for all tail items.

    Args:
        gram: of the head with its ridge, float32, shape (head, head).
        head: CSR of weights, shape (listeners, head).
        tail: CSR of weights, shape (listeners, tail).
        ridge: of each tail item, shape (tail,).
        near: head items that predict a tail item.
    """
    near = min(near, gram.shape[0])
    # Somebody who heard many tail items would be told the same by each: the row sum, which bounds what tail items
    # share (Gershgorin), makes their voices together as loud as one.
    shared = np.asarray(tail.T @ tail.sum(axis=1)).ravel().astype(np.float32)
    crosswise = tail.T.tocsr()
    parts = [
        _solved(gram, (crosswise[start : start + _BLOCK] @ head).toarray(), near)
        for start in range(0, tail.shape[1], _BLOCK)
    ]
    nearest, weights, explained = (np.concatenate(each) for each in zip(*parts, strict=True))
    left = np.maximum(shared + ridge - explained, _LEAST).astype(np.float32)
    return Tail(nearest=nearest, weights=weights, left=left)


def _solved(
    gram: NDArray[np.float32], both: NDArray[np.float32], near: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return (nearest, weights, what they explain) for some tail items, from what each shares with the head."""
    likeness = both / np.sqrt(np.diag(gram))
    nearest = np.sort(np.argpartition(-likeness, near - 1, axis=1)[:, :near], axis=1).astype(np.int64)
    side = np.take_along_axis(both, nearest, axis=1)
    systems = gram[nearest[:, :, None], nearest[:, None, :]]
    # What was never heard together with the item takes no part: only its own square stays, and it gets no weight.
    together = side > 0
    systems *= (together[:, :, None] & together[:, None, :]) | np.eye(near, dtype=bool)
    weights = np.linalg.solve(systems, side[:, :, None])[:, :, 0].astype(np.float32)
    return nearest, weights, (weights * side).sum(axis=1)
