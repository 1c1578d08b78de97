"""User-kNN: what listeners with a like history heard (Herlocker et al., SIGIR 1999; Aiolli, RecSys 2013).

Every other model here goes from items to items or through factors that all listeners share; this one asks who is like
this listener, so it errs elsewhere. It keeps the histories themselves, so it is for measuring alone: a bundle holds no
listener.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse

from music_assets.recommender.models.base import (
    FittedModel,
    Listening,
    Model,
    Reason,
    State,
    loudest,
    one_history,
    selection,
    spoken_for,
    weigh,
)
from music_assets.recommender.names import USER_KNN

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class UserKnn(Model):
    """Settings of user-kNN.

    Attributes:
        rarity: an item that both heard counts by its popularity to the power of minus this.
        own: power of the length of the listener's own history in the norm, the other's has the rest: 0.5 is the cosine.
        shrink: added to the norm, so that a likeness seen in few items counts less.
        sharpness: power of the likeness with which a neighbour speaks.
        hub: power of an item's popularity that its score is divided by.
        keep: neighbours of a listener.
    """

    name: ClassVar[str] = USER_KNN

    rarity: float = 0.4
    own: float = 0.5
    shrink: float = 1.0
    sharpness: float = 2.0
    hub: float = 0.25
    keep: int = 400

    def fit(self, listening: Listening) -> UserKnnModel:
        """Keep who heard what; all else is done when asked."""
        heard = weigh(listening.counts, "binary").tocsr()
        return UserKnnModel(
            items=listening.items,
            popularity=listening.listeners.astype(np.float32),
            listeners=heard[np.diff(heard.indptr) > 0],
            settings=self,
        )


@dataclass(frozen=True, kw_only=True)
class UserKnnModel(FittedModel):
    """Histories to be compared with.

    Attributes:
        listeners: CSR of ones, float32, shape (listeners, items), no row empty.
        settings: how they are compared.
    """

    kind: ClassVar[str] = "user_knn"

    listeners: Any
    settings: UserKnn

    @cached_property
    def _weight(self) -> NDArray[np.float32]:
        """What each item counts when histories are compared."""
        return np.asarray(np.maximum(self.popularity, 1) ** -self.settings.rarity, dtype=np.float32)

    @cached_property
    def _spread(self) -> NDArray[np.float32]:
        """What each item's score is multiplied by: 1 for the most popular."""
        popularity = np.maximum(self.popularity, 1)
        return np.asarray((popularity / popularity.max(initial=1)) ** -self.settings.hub, dtype=np.float32)

    @cached_property
    def _across(self) -> Any:
        return self.listeners.T.tocsr()

    @cached_property
    def _norm(self) -> NDArray[np.float32]:
        """The other's part of the norm, shape (listeners,)."""
        return np.asarray((self.listeners @ self._weight) ** (1 - self.settings.own), dtype=np.float32)

    def _neighbours(self, history: Any) -> Any:
        """Return who is most like each row: CSR of weights that sum to 1, shape (rows, listeners)."""
        heard = weigh(history, "binary").tocsr()
        like = (heard @ sparse.diags(self._weight) @ self._across).toarray()
        like /= (np.asarray(heard @ self._weight) ** self.settings.own)[:, None] * self._norm + self.settings.shrink
        keep = min(self.settings.keep, like.shape[1])
        best = np.argpartition(-like, keep - 1, axis=1)[:, :keep] if keep else np.empty((len(like), 0), dtype=np.int64)
        weights = np.take_along_axis(like, best, axis=1) ** self.settings.sharpness
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        ends = np.arange(len(like) + 1) * keep
        return sparse.csr_matrix((weights.ravel().astype(np.float32), best.ravel(), ends), shape=like.shape)

    def _said(self, history: Any) -> NDArray[np.float32]:
        said = (self._neighbours(history) @ self.listeners).toarray()
        return np.asarray(said * self._spread, dtype=np.float32)

    def score(self, history: Any) -> NDArray[np.float32]:
        """Add the prior to what the neighbours heard. A listener's own row, if there, speaks for nothing unheard."""
        return self._said(history) + self.prior

    def reasons(
        self, heard: NDArray[np.int64], counts: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> list[Reason]:
        """Name the item heard that the neighbours who speak for each column share most."""
        if not len(heard):
            return [Reason(None)] * len(columns)
        near = self._neighbours(one_history(heard, counts, len(self.items)))
        rows = self.listeners[near.indices]
        shared = rows[:, heard].T @ sparse.diags(near.data) @ rows[:, columns]
        return loudest(heard, shared.toarray() * self._weight[heard][:, None])

    def similar(self, item: int, *, k: int) -> list[tuple[int, float]]:
        """Return what is said to a listener who heard this item alone."""
        alone = one_history(np.asarray([item]), np.ones(1, dtype=np.float32), len(self.items))
        return spoken_for(self._said(alone)[0], item, k)

    def state(self) -> State:
        """The histories, and how they are compared."""
        arrays = {
            "popularity": self.popularity,
            "indices": self.listeners.indices.astype(np.int32),
            "indptr": self.listeners.indptr.astype(np.int64),
        }
        return State(arrays, vars(self.settings).copy())

    @classmethod
    def restored(cls, items: tuple[str, ...], state: State) -> UserKnnModel:
        """Take all as it was."""
        indices, indptr = state.arrays["indices"], state.arrays["indptr"]
        ones = np.ones(len(indices), dtype=np.float32)
        return cls(
            items=items,
            popularity=state.arrays["popularity"],
            listeners=sparse.csr_matrix((ones, indices, indptr), shape=(len(indptr) - 1, len(items))),
            settings=UserKnn(**state.words),
        )

    def aligned(self, items: tuple[str, ...]) -> UserKnnModel:
        """Carry the columns over."""
        select = selection(self.items, items)
        return UserKnnModel(
            items=items,
            popularity=np.asarray(select @ self.popularity, dtype=np.float32),
            listeners=(self.listeners @ select.T).tocsr(),
            settings=self.settings,
        )
