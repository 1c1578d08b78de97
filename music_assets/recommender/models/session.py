"""A session model: what is heard soon after what, in that order, and what was heard last speaks loudest.

A Markov chain over the last items heard (as the sequential rules of Ludewig & Jannach, UMUAI 2018, with discounted
distance): it sees what models without order cannot, that one item leads to another more than the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from scipy import sparse

from music_assets.recommender.interactions import Interactions
from music_assets.recommender.models.base import Listening, Model, State
from music_assets.recommender.models.neighbours import ItemModel, strongest
from music_assets.recommender.names import SESSION
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MINUTE: Final = 60_000_000


@dataclass(frozen=True, kw_only=True)
class SessionModel(ItemModel):
    """Successors of items.

    Attributes:
        recency: what an item heard says, against the one heard next after it; 1 makes all alike. It counts for
            histories in the order of hearing, see `discounts`.
    """

    kind: ClassVar[str] = "session"

    recency: float

    def spoken(self, weights: Any) -> NDArray[np.float32]:
        """Sum the successors of what was heard, the latest loudest."""
        latest = sparse.csr_matrix(
            (weights.data * discounts(weights, self.recency), weights.indices, weights.indptr), shape=weights.shape
        )
        return super().spoken(latest)

    def speaks(
        self, heard: NDArray[np.int64], weights: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Weigh the successors of each item heard in the same way."""
        row = sparse.csr_matrix((weights, heard, [0, len(heard)]), shape=(1, len(self.items)))
        return super().speaks(heard, weights * discounts(row, self.recency), columns)

    def state(self) -> State:
        """Successors, and how fast what was heard fades."""
        state = super().state()
        return State(state.arrays, {**state.words, "recency": self.recency})

    @classmethod
    def restored(cls, items: tuple[str, ...], state: State) -> SessionModel:
        """Take both as they were."""
        return _fading(ItemModel.restored(items, state), state.words["recency"])

    def aligned(self, items: tuple[str, ...]) -> SessionModel:
        """Carry rows and columns over."""
        return _fading(super().aligned(items), self.recency)


def _fading(plain: ItemModel, recency: float) -> SessionModel:
    return SessionModel(
        items=plain.items,
        popularity=plain.popularity,
        neighbours=plain.neighbours,
        weighting=plain.weighting,
        recency=recency,
    )


def discounts(history: Any, recency: float) -> NDArray[np.float32]:
    """Return recency to the power of each entry's place in its row, float32, shape (nnz,).

    A row's entries are in the order of hearing, the latest first, as `Interactions.latest_first` gives them. Columns
    that ascend say that nobody kept the order: then all of the row count alike.
    """
    rows = np.repeat(np.arange(history.shape[0]), np.diff(history.indptr))
    place = np.arange(len(rows)) - history.indptr[rows]
    descends = np.flatnonzero((np.diff(history.indices) < 0) & (np.diff(rows) == 0))
    ordered = np.zeros(history.shape[0], dtype=bool)
    ordered[rows[descends]] = True
    return np.where(ordered[rows], recency ** place.astype(np.float32), 1).astype(np.float32)


@dataclass(frozen=True)
class Session(Model):
    """Settings of the session model.

    Attributes:
        reach: successors counted for each listen.
        fade: what one further step is worth.
        backward: what a predecessor is worth, against a successor.
        gap_minutes: a longer silence ends a session.
        held_back: a successor's count is divided by this power of its listeners.
        recency: see `SessionModel`.
        keep: successors kept for each item.
    """

    name: ClassVar[str] = SESSION

    reach: int = 6
    fade: float = 0.8
    backward: float = 0.5
    gap_minutes: float = 60.0
    held_back: float = 0.4
    recency: float = 0.9
    keep: int = 200

    def fit(self, listening: Listening) -> SessionModel:
        """Count what follows what.

        Raises:
            ConfigurationError: the listens have no times.
        """
        if not isinstance(listening, Interactions):
            raise ConfigurationError("session: these listens have no times; valid: listens with a time each")
        size = len(listening.items)
        forward = self._followed(listening)
        both = (forward + self.backward * forward.T).tocsr()
        heard = np.maximum(np.bincount(listening.item, minlength=size), 1)
        fair = sparse.diags(np.maximum(listening.listeners, 1).astype(np.float32) ** -self.held_back)
        share = (sparse.diags((1 / heard).astype(np.float32)) @ both @ fair).tocsr()
        plain = ItemModel(
            items=listening.items,
            popularity=listening.listeners.astype(np.float32),
            neighbours=strongest(lambda start, end: share[start:end], size, self.keep),
            weighting="binary",
        )
        return _fading(plain, self.recency)

    def _followed(self, listens: Interactions) -> Any:
        """Return how often each item (column) followed each (row) within a session, faded by distance: CSR float32."""
        order = np.lexsort((listens.time, listens.user))
        user, item, time = listens.user[order], listens.item[order], listens.time[order]
        begins = (np.diff(user) != 0) | (np.diff(time) > self.gap_minutes * _MINUTE)
        session = np.concatenate([[0], np.cumsum(begins)])
        size = len(listens.items)
        followed = sparse.csr_matrix((size, size), dtype=np.float32)
        for step in range(1, min(self.reach, len(item) - 1) + 1):
            near = session[step:] == session[:-step]
            worth = np.full(int(near.sum()), self.fade ** (step - 1), dtype=np.float32)
            followed += sparse.csr_matrix((worth, (item[:-step][near], item[step:][near])), shape=(size, size))
        return followed
