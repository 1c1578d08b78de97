"""SAR, the yardstick whose published figures calibrate the metrics (Microsoft's recommenders, "SAR deep dive")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import sparse

from music_assets.recommender.models.base import top

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALF_LIFE_SECONDS: Final = 30 * 24 * 3600


def recommend(
    liked: Any, rating: NDArray[np.float64], time: NDArray[np.int64], places: tuple[Any, Any], *, k: int
) -> NDArray[np.int64]:
    """Rank by affinity times Jaccard's likeness of items, nothing liked among it.

    Args:
        liked: CSR, shape (users, items), non-zero where liked.
        rating: of each pair.
        time: of each pair, seconds since 1970; a rating halves in thirty days.
        places: (row, column) of each pair.
        k: length of the lists.

    Returns:
        Columns best first, int64, shape (users, k).
    """
    affinity = sparse.csr_matrix(
        (rating * 0.5 ** ((time.max() - time) / _HALF_LIFE_SECONDS), places), shape=liked.shape
    )
    seen = (liked > 0).astype(np.float64)
    both = (seen.T @ seen).toarray()
    alone = np.diag(both)
    likeness = both / np.maximum(alone[:, None] + alone[None, :] - both, 1e-12)
    scores = np.asarray(affinity @ likeness)
    scores[liked.nonzero()] = -np.inf
    return top(scores, k)
