"""The first stage for one listener: the same candidates and features as `two_stage.propose` gives for many.

What that does with matrices of a whole block of listeners costs ten times as much for one: most of it is work around
the work. `tests/recommender/test_quick.py` holds both together.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from music_assets.recommender import kernels
from music_assets.recommender.index import Searched
from music_assets.recommender.models.base import one_history, weigh
from music_assets.recommender.models.factors import FactorModel
from music_assets.recommender.models.neighbours import ItemModel
from music_assets.recommender.models.session import SessionModel
from music_assets.recommender.models.spectral import SpectralModel
from music_assets.recommender.retrieval import Rounded, Scores, Sums, Whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from music_assets.recommender.index import Index
    from music_assets.recommender.models.base import FittedModel, Weighting

LEAST_DEVIATION: Final = 1e-9


@dataclass(frozen=True)
class Heard:
    """One listener's history: distinct columns and how often each was heard, of one length."""

    columns: NDArray[np.int64]
    counts: NDArray[np.float32]

    def weights(self, weighting: Weighting) -> NDArray[np.float32]:
        """Return what each item heard counts."""
        return kernels.contiguous(weigh(self.counts, weighting), np.float32)


class Rater(ABC):
    """A model that scores all items for one listener."""

    @abstractmethod
    def score(self, heard: Heard, room: NDArray[np.float32]) -> Scores:
        """Return what the model's own `score` would, held in a room, float32, shape (2, items)."""


@dataclass(frozen=True)
class _Neighbours(Rater):
    """Neighbours as CSR."""

    prior: NDArray[np.float32]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.float32]
    weighting: Weighting

    @classmethod
    def of(cls, model: ItemModel) -> _Neighbours:
        rows = sparse.csr_matrix(model.neighbours)
        return cls(
            prior=model.prior,
            indptr=kernels.contiguous(rows.indptr, np.int64),
            indices=kernels.contiguous(rows.indices, np.int32),
            data=kernels.contiguous(rows.data, np.float32),
            weighting=model.weighting,
        )

    def score(self, heard: Heard, room: NDArray[np.float32]) -> Scores:
        self.sum(heard, room[0])
        return Whole.exact(room[0])

    def sum(self, heard: Heard, scores: NDArray[np.float32]) -> None:
        """Fill in the scores, shape (items,)."""
        weights = heard.weights(self.weighting)
        kernels.add_rows(self.prior, self.indptr, self.indices, self.data, heard.columns, weights, scores)

    def loudest(self, heard: Heard, columns: NDArray[np.int64]) -> list[int | None]:
        weights = heard.weights(self.weighting)
        rows = kernels.loudest(self.indptr, self.indices, self.data, heard.columns, weights, columns)
        return [int(heard.columns[row]) if row >= 0 else None for row in rows.tolist()]


@dataclass(frozen=True)
class _Factors(Rater):
    """Factors: the listener's are solved, the items' are rounded."""

    model: FactorModel
    rounded: Rounded
    crossed: NDArray[np.float32]

    @classmethod
    def of(cls, model: FactorModel) -> _Factors:
        return cls(model, Rounded.of(model.factors), model.prior @ model.factors)

    def score(self, heard: Heard, room: NDArray[np.float32]) -> Scores:
        listener = self.model.listener(heard.columns, heard.weights(self.model.weighting))
        return self.rounded.products(listener, self.model.prior, self.crossed, room[0])


@dataclass(frozen=True)
class _IndexedFactors(Rater):
    """Factors of a large catalogue: an index leads to the items' best."""

    model: FactorModel
    index: Index
    sums: Sums
    crossed: NDArray[np.float32]

    @classmethod
    def of(cls, model: FactorModel, index: Index) -> _IndexedFactors:
        return cls(model, index, Sums.of(model.factors), model.prior @ model.factors)

    def score(self, heard: Heard, room: NDArray[np.float32]) -> Scores:  # noqa: ARG002 - an index needs no room
        listener = self.model.listener(heard.columns, heard.weights(self.model.weighting))
        mean, deviation = self.sums.moments(listener, self.model.prior, self.crossed)
        return Searched(
            index=self.index, vectors=self.model.factors, query=listener, base=self.model.prior, mean=mean,
            deviation=deviation,
        )  # fmt: skip


@dataclass(frozen=True)
class _Spectral(Rater):
    """Neighbours and smooth vectors."""

    near: _Neighbours
    inward: NDArray[np.float32]
    outward: Rounded
    prior_crossed: NDArray[np.float32]
    near_crossed: NDArray[np.float32]

    @classmethod
    def of(cls, model: SpectralModel) -> _Spectral:
        return cls(
            near=_Neighbours.of(model.near),
            inward=model.inward,
            outward=Rounded.of(model.outward),
            prior_crossed=model.prior @ model.outward,
            near_crossed=np.asarray(model.near.neighbours @ model.outward, dtype=np.float32),
        )

    def score(self, heard: Heard, room: NDArray[np.float32]) -> Scores:
        weights = heard.weights(self.near.weighting)
        listener = weights @ self.inward[heard.columns]
        crossed = self.prior_crossed + weights @ self.near_crossed[heard.columns]
        self.near.sum(heard, room[0])
        return self.outward.products(listener, room[0], crossed, room[1])


@dataclass(frozen=True)
class _Plain(Rater):
    """Any other model, as it is."""

    model: FittedModel

    def score(self, heard: Heard, room: NDArray[np.float32]) -> Scores:
        room[0] = self.model.score(one_history(heard.columns, heard.counts, len(self.model.items)))[0]
        return Whole.exact(room[0])


def rater(model: FittedModel) -> Rater:
    """Return the quick form of a model."""
    if isinstance(model, SpectralModel):
        return _Spectral.of(model)
    if isinstance(model, FactorModel):
        return _Factors.of(model) if model.index is None else _IndexedFactors.of(model, model.index)
    if isinstance(model, ItemModel) and not isinstance(model, SessionModel):
        return _Neighbours.of(model)
    return _Plain(model)


class Rooms(threading.local):
    """Rooms that a thread uses for every answer again: asked of the system anew, they cost more than filling them."""

    def __init__(self, models: int, items: int) -> None:
        self.each = np.empty((models, 2, items), dtype=np.float32)


@dataclass(frozen=True)
class FirstStage:
    """All models of the first stage.

    Attributes:
        raters: one of each model.
        log_popularity: of the items, float32, shape (items,).
        per_model: candidates of each.
        rooms: one for each rater.
    """

    raters: tuple[Rater, ...]
    log_popularity: NDArray[np.float32]
    per_model: int
    rooms: Rooms

    @classmethod
    def of(cls, models: Sequence[FittedModel], *, per_model: int) -> FirstStage:
        """Prepare models; it takes seconds at 50,000 items, and as much memory again as the factors."""
        popularity, rooms = models[0].popularity, Rooms(len(models), len(models[0].items))
        return cls(tuple(rater(model) for model in models), np.log1p(popularity), per_model, rooms)

    def propose(self, heard: Heard) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the candidates, ascending, and their features, float32, shape (features, candidates)."""
        rated = [rater.score(heard, room) for rater, room in zip(self.raters, self.rooms.each, strict=True)]
        columns = np.unique(np.concatenate([scores.best(self.per_model, heard.columns) for scores in rated]))
        features = np.empty((2 * len(rated) + 2, len(columns)), dtype=np.float32)
        for number, scores in enumerate(rated):
            features[2 * number] = (scores.of(columns) - scores.mean) / max(scores.deviation, LEAST_DEVIATION)
        order = np.argsort(-features[:-2:2], axis=1, kind="stable")
        np.put_along_axis(features[1:-2:2], order, 1 / np.log2(np.arange(2, len(columns) + 2))[None], axis=1)
        features[-2] = self.log_popularity[columns]
        features[-1] = np.log1p(len(heard.columns))
        return columns, features

    def because(self, heard: Heard, columns: NDArray[np.int64]) -> list[int | None] | None:
        """Return for each column the item heard that spoke most for it in the first model, or None if that is other."""
        first = self.raters[0]
        return first.loudest(heard, columns) if isinstance(first, _Neighbours) else None
