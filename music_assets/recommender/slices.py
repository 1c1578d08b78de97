"""Slices of listeners: a mean over all hides what a model does to the few."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEW_ITEMS: Final = 5
"""Items heard up to which a listener is new."""

_SHARE: Final = 0.2
"""Share of the listeners that is heavy, and that is niche."""


def slices(history: Any, popularity: NDArray[np.float32]) -> dict[str, NDArray[np.bool_]]:
    """Return which listeners belong to a slice; a listener may belong to several or none.

    `new` heard `NEW_ITEMS` items at most, `heavy` are the fifth with the most items, `niche` the fifth whose items
    are the least popular by their mean rank.

    Args:
        history: CSR of counts, shape (listeners, items).
        popularity: higher is more popular, shape (items,).

    Returns:
        Name to mask, bool, shape (listeners,).
    """
    heard = np.diff(history.indptr)
    if not len(heard):
        return {name: np.zeros(0, dtype=bool) for name in ("new", "heavy", "niche")}
    rank = np.empty(len(popularity), dtype=np.float64)
    rank[np.argsort(-popularity, kind="stable")] = np.linspace(0, 1, len(popularity))
    listener = np.repeat(np.arange(len(heard)), heard)
    tail = np.bincount(listener, weights=rank[history.indices], minlength=len(heard)) / np.maximum(heard, 1)
    return {
        "new": heard <= NEW_ITEMS,
        "heavy": heard >= np.quantile(heard, 1 - _SHARE),
        "niche": tail >= np.quantile(tail, 1 - _SHARE),
    }
