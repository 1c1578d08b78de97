"""The global split by time: a model learns what was heard before a moment and is judged by what came after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import sparse

from music_assets.recommender.interactions import Interactions

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEST_SHARE: Final = 0.2
"""Share of the time, at its end, that is kept for the test."""

MAX_LISTENERS: Final = 10_000
"""Listeners that judge a day's candidates: enough to see a hundredth of NDCG; more would cost as much as training."""

_SEED: Final = 7
_STRAY_SHARE: Final = 0.001
"""Share of the earliest listens that does not count for where time begins: one listen of 1970 must not move it."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Both parts of a split.

    Attributes:
        cutoff: first microsecond of the test part.
        train: the listens before it, with the vocabularies of that time.
        judges: rows of the listeners under test in the listens before the cut-off, ascending, int64.
        history: listens before the cut-off of the listeners under test: CSR, (listeners, train items), float32,
            the latest heard first in each row.
        test: 1 for each item a listener first heard after the cut-off: CSR, (listeners, train items + new items). The
            columns beyond the train items are items nobody had heard before: they count in the ideal, as misses.
        left_out: listeners without a history or without anything new, who cannot be judged.
    """

    cutoff: int
    train: Interactions
    judges: NDArray[np.int64]
    history: Any
    test: Any
    left_out: int

    @property
    def listeners(self) -> int:
        """Listeners under test."""
        return int(self.history.shape[0])

    def leak(self) -> str | None:
        """Return what of the test part the training part knows, as a sentence, or None."""
        late = int((self.train.time >= self.cutoff).sum())
        if late:
            return f"{late} listens of the training part lie after the cut-off"
        heard = int(self.history.multiply(self.test[:, : self.history.shape[1]]).nnz)
        return f"{heard} items under test were heard before the cut-off" if heard else None


def cutoff_of(interactions: Interactions, test_share: float = TEST_SHARE) -> int:
    """Return the moment at which the last share of the time begins, in microseconds since 1970."""
    if not len(interactions):
        return 0
    first = float(np.quantile(interactions.time, _STRAY_SHARE, method="lower"))
    last = float(interactions.time.max())
    return int(last - (last - first) * test_share)


def split_at(interactions: Interactions, cutoff: int, *, most: int | None = None) -> Split:
    """Split at a moment; what the listener had heard before it is no test item.

    Args:
        interactions: all listens.
        cutoff: microseconds since 1970.
        most: listeners that judge at most, drawn at random but always the same ones.
    """
    train = interactions.before(cutoff)
    user, item = _new_pairs(interactions, train, cutoff)
    able = _distinct(user)
    judged = able
    if most is not None and most < len(able):
        judged = np.sort(np.random.default_rng(_SEED).permutation(able)[:most])
        theirs = np.isin(user, judged)
        user, item = user[theirs], item[theirs]
    columns = max(len(train.items), int(item.max(initial=-1)) + 1)
    test = sparse.csr_matrix(
        (np.ones(len(item), dtype=np.float32), (np.searchsorted(judged, user), item)), shape=(len(judged), columns)
    )
    return Split(
        cutoff=cutoff,
        train=train,
        judges=judged,
        history=train.latest_first_of(judged),
        test=test,
        left_out=len(interactions.users) - len(able),
    )


def _new_pairs(
    interactions: Interactions, train: Interactions, cutoff: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (train user, item) of every first listen after the cut-off; unheard items get numbers past the train's."""
    later = interactions.time >= cutoff
    user = translate(interactions.users, train.users)[interactions.user[later]]
    item = translate(interactions.items, train.items)[interactions.item[later]]
    unheard = item < 0
    item[unheard] = len(train.items) + interactions.item[later][unheard]
    size = len(train.items) + len(interactions.items)
    # One number for a pair: numbers are sorted many times faster than rows of two.
    pairs = _distinct(user[user >= 0] * size + item[user >= 0])
    heard = np.sort(train.user.astype(np.int64) * size + train.item)
    fresh = pairs[np.searchsorted(heard, pairs, side="left") == np.searchsorted(heard, pairs, side="right")]
    return np.divmod(fresh, size)


def _distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the different ones, ascending; `np.unique` looks each up in a table, which takes twenty times as long."""
    ordered = np.sort(numbers)
    return ordered[np.flatnonzero(np.diff(ordered, prepend=-1))]


def translate(names: tuple[str, ...], target: tuple[str, ...]) -> NDArray[np.int64]:
    """Return for each name its index in the target, or -1."""
    index = {name: position for position, name in enumerate(target)}
    return np.asarray([index.get(name, -1) for name in names], dtype=np.int64)
