"""What every candidate model is: settings with a `fit`, and the fitted form that measuring and serving share.

A fitted model holds items, their popularity and what one item says of another, so it knows no listener: a history is
folded in at the moment of asking. The same object is measured, stored and served. Only both stages together answer one
listener by another way than many (`quick.py`), which tests hold to the same answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol

import numpy as np
from scipy import sparse

from music_assets.recommender.models.blocks import each_block, one_blas_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

Weighting = Literal["binary", "log"]

PRIOR_WEIGHT: Final = 1e-4
"""How much popularity adds to a score: it breaks ties and orders what no neighbour speaks for, and no more."""

_PIECE: Final = 64
"""Most columns of which `top` looks at the highest first."""


class Listening(Protocol):
    """What a model learns from: who heard what how often, without who and when."""

    @property
    def items(self) -> tuple[str, ...]:
        """Item ids, in the order of the columns."""

    @property
    def counts(self) -> Any:
        """Listens per listener and item: CSR float32, shape (listeners, items)."""

    @property
    def listeners(self) -> NDArray[np.int64]:
        """Distinct listeners per item, shape (items,)."""


def weigh(counts: Any, weighting: Weighting) -> Any:
    """Turn listens per item (CSR or array) into the weights a model learns from, float32."""
    if sparse.issparse(counts):
        weighted = counts.astype(np.float32, copy=True)
        weighted.data = weigh(weighted.data, weighting)
        return weighted
    return np.log1p(counts) if weighting == "log" else (np.asarray(counts) > 0).astype(np.float32)


@dataclass(frozen=True)
class Reason:
    """Why an item is in an answer: `because` is the column of the item heard that spoke most for it, or None."""

    because: int | None


@dataclass(frozen=True)
class State:
    """What a model has learnt, in forms that files hold without pickle.

    Attributes:
        arrays: name to array.
        words: name to what JSON holds.
    """

    arrays: dict[str, NDArray[Any]]
    words: dict[str, Any]

    def below(self, name: str) -> State:
        """Return the part that was put below a name."""
        return State(
            {key.removeprefix(f"{name}."): array for key, array in self.arrays.items() if key.startswith(f"{name}.")},
            self.words[name],
        )


@dataclass(frozen=True, kw_only=True)
class FittedModel(ABC):
    """A fitted model.

    Attributes:
        items: the catalogue, in the order of the columns.
        popularity: non-negative, higher is more popular, float32, shape (items,).
    """

    kind: ClassVar[str]
    """What its files are called after: names the class that reads them."""

    items: tuple[str, ...]
    popularity: NDArray[np.float32]

    @abstractmethod
    def score(self, history: Any) -> NDArray[np.float32]:
        """Score every item for each row of a history of counts.

        Args:
            history: CSR, shape (listeners, items).

        Returns:
            Dense block, float32, shape (listeners, items).
        """

    @abstractmethod
    def reasons(
        self, heard: NDArray[np.int64], counts: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> list[Reason]:
        """Return for each column the item heard that speaks most for it, if any does."""

    @abstractmethod
    def similar(self, item: int, *, k: int) -> list[tuple[int, float]]:
        """Return (column, weight) of the items that listening to this one speaks for, best first."""

    @abstractmethod
    def aligned(self, items: tuple[str, ...]) -> FittedModel:
        """Return the same model over another catalogue; items it does not know have no popularity and no say."""

    @abstractmethod
    def state(self) -> State:
        """Return all that is learnt, to be written to files."""

    @classmethod
    @abstractmethod
    def restored(cls, items: tuple[str, ...], state: State) -> FittedModel:
        """Return the model of what `state` gave."""

    @cached_property
    def column(self) -> dict[str, int]:
        """Item id to column."""
        return {item: position for position, item in enumerate(self.items)}

    @cached_property
    def by_popularity(self) -> NDArray[np.int64]:
        """Columns, the most popular first, equals in the order of their ids."""
        return np.argsort(-self.popularity, kind="stable")

    @cached_property
    def prior(self) -> NDArray[np.float32]:
        """A score in (0, PRIOR_WEIGHT] by rank of popularity, without ties."""
        prior = np.empty(len(self.items), dtype=np.float32)
        prior[self.by_popularity] = np.linspace(PRIOR_WEIGHT, 0, len(self.items), endpoint=False, dtype=np.float32)
        return prior

    def recommend(self, history: Any, *, k: int) -> NDArray[np.int64]:
        """Rank what each listener has not heard.

        Args:
            history: CSR of counts, shape (listeners, items).
            k: length of the lists.

        Returns:
            Columns best first, -1 where the catalogue ends, int64, shape (listeners, k).
        """
        ranked = np.full((history.shape[0], k), -1, dtype=np.int64)

        def rank(block: slice) -> None:
            rows = history[block]
            scores = self.score(rows)
            scores[rows.nonzero()] = -np.inf
            best = top(scores, k)
            ranked[block, : best.shape[1]] = best

        each_block(rank, history.shape[0])
        return ranked

    def fold_in(
        self, heard: NDArray[np.int64], counts: NDArray[np.float32], *, k: int, exclude: NDArray[np.int64]
    ) -> list[tuple[int, float, Reason]]:
        """Answer one history: (column, score, reason), best first, without what is heard or excluded."""
        with one_blas_thread():
            scores = self.score(one_history(heard, counts, len(self.items)))[0]
            scores[heard] = -np.inf
            scores[exclude] = -np.inf
            best = top(scores[None, :], k)[0]
            best = best[best >= 0]
            reasons = self.reasons(heard, counts, best)
        return [(int(column), float(scores[column]), reason) for column, reason in zip(best, reasons, strict=True)]


@dataclass(frozen=True, kw_only=True)
class AdditiveModel(FittedModel):
    """A model in which each item heard speaks for others by itself, so that a score can be split into its reasons.

    Attributes:
        weighting: how a history's counts become weights.
    """

    weighting: Weighting

    @abstractmethod
    def spoken(self, weights: Any) -> NDArray[np.float32]:
        """Return what histories speak for: CSR of weights to a dense block, both of shape (listeners, items)."""

    @abstractmethod
    def speaks(
        self, heard: NDArray[np.int64], weights: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return how much each item heard speaks for each column, shape (heard, columns)."""

    def score(self, history: Any) -> NDArray[np.float32]:
        """Add the prior to what is spoken for."""
        return np.asarray(self.spoken(weigh(history, self.weighting)) + self.prior, dtype=np.float32)

    def reasons(
        self, heard: NDArray[np.int64], counts: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> list[Reason]:
        """Name the loudest."""
        if not len(heard):
            return [Reason(None)] * len(columns)
        return loudest(heard, self.speaks(heard, weigh(counts, self.weighting).astype(np.float32), columns))


@dataclass(frozen=True)
class Model(ABC):
    """A candidate model before it has seen data: a frozen dataclass of settings."""

    name: ClassVar[str]

    @abstractmethod
    def fit(self, listening: Listening) -> FittedModel:
        """Learn from listens; the same ones give the same model."""


def one_history(heard: NDArray[np.int64], counts: NDArray[np.float32], items: int) -> Any:
    """Return one listener's counts as CSR of shape (1, items)."""
    return sparse.csr_matrix((counts, heard, [0, len(heard)]), shape=(1, items), dtype=np.float32)


def loudest(heard: NDArray[np.int64], said: NDArray[np.float32]) -> list[Reason]:
    """Return for each column the item heard that says most for it, of what each says, shape (heard, columns)."""
    rows = said.argmax(axis=0)
    return [Reason(int(heard[row]) if said[row, place] > 0 else None) for place, row in enumerate(rows.tolist())]


def spoken_for(said: NDArray[np.float32], item: int, k: int) -> list[tuple[int, float]]:
    """Return (column, weight) of what one item says most for, best first, itself left out: `said` is overwritten."""
    said[item] = -np.inf
    best = np.argsort(-said, kind="stable")[:k]
    return [(int(place), float(said[place])) for place in best if said[place] > 0]


def top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the columns of the k highest finite scores of each row, best first, equals by column; -1 beyond them."""
    k = min(k, scores.shape[1])
    ranked = np.empty((len(scores), k), dtype=np.int64)
    for number, row in enumerate(scores):
        ranked[number] = _top_of(row, k)
    return np.where(np.isfinite(np.take_along_axis(scores, ranked, axis=1)), ranked, -1)


def _top_of(row: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the columns of the k highest scores of a row, equals by column.

    The k-th highest of the maxima of short pieces is a floor that k scores reach at least and few more do: one pass
    and a sort of those few, where a partition of the whole row takes eight times as long.
    """
    piece = min(_PIECE, len(row) // (4 * k)) if k else 0
    if piece > 1:
        maxima = row[: len(row) // piece * piece].reshape(-1, piece).max(axis=1)
        floor = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
        columns = np.flatnonzero(row >= floor)
    else:
        columns = np.arange(len(row))
    return columns[np.argsort(-row[columns], kind="stable")[:k]]


def selection(known: tuple[str, ...], wanted: tuple[str, ...]) -> Any:
    """Return the CSR matrix of ones, shape (wanted, known), that carries columns over to another catalogue."""
    column = {item: position for position, item in enumerate(known)}
    places = np.asarray([column.get(item, -1) for item in wanted], dtype=np.int64)
    rows = np.flatnonzero(places >= 0)
    ones = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, places[rows])), shape=(len(wanted), len(known)))


def placed_below(name: str, state: State) -> dict[str, NDArray[Any]]:
    """Return the arrays of a part under names of the whole; its words go under the name itself."""
    return {f"{name}.{key}": array for key, array in state.arrays.items()}
