"""SAR, the yardstick whose published figures calibrate the metrics (Microsoft's recommenders, "SAR deep dive")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import sparse

from music_assets.recommender.models.base import top

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALF_LIFE_SECONDS: Final = 30 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Rated:
    """Ratings with their times; all arrays of shape (pairs,).

    Attributes:
        places: row and column of each.
        rating: what was given.
        time: seconds since 1970; a rating halves in thirty days.
    """

    places: tuple[NDArray[np.int64], NDArray[np.int64]]
    rating: NDArray[np.float64]
    time: NDArray[np.int64]


def recommend(liked: Any, rated: Rated, *, k: int) -> NDArray[np.int64]:
    """Rank by affinity times Jaccard's likeness of items, nothing liked among it.

    Args:
        liked: CSR, shape (users, items), non-zero where liked.
        rated: the same pairs.
        k: length of the lists.

    Returns:
        Columns best first, int64, shape (users, k).
    """
    age = rated.time.max() - rated.time
    affinity = sparse.csr_matrix((rated.rating * 0.5 ** (age / _HALF_LIFE_SECONDS), rated.places), shape=liked.shape)
    seen = (liked > 0).astype(np.float64)
    both = (seen.T @ seen).toarray()
    alone = np.diag(both)
    likeness = both / np.maximum(alone[:, None] + alone[None, :] - both, 1e-12)
    scores = np.asarray(affinity @ likeness)
    scores[liked.nonzero()] = -np.inf
    return top(scores, k)
