"""The second stage: gradient-boosted trees order the union of what several models propose (LightGBM).

The trees see how each model rates a candidate, how popular it is and how much the listener has heard. They learn from
listens that the models which rate them have not seen, because a model is too sure of what it learnt from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from music_assets.recommender.forest import Forest
from music_assets.recommender.models.autoencoder import AutoencoderModel
from music_assets.recommender.models.base import FittedModel, Reason, State, placed_below, top
from music_assets.recommender.models.blocks import one_blas_thread
from music_assets.recommender.models.factors import FactorModel
from music_assets.recommender.models.neighbours import ItemModel
from music_assets.recommender.models.session import SessionModel
from music_assets.recommender.models.spectral import SpectralModel
from music_assets.recommender.models.user_knn import UserKnnModel
from music_assets.recommender.quick import LEAST_DEVIATION, FirstStage, Heard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PER_MODEL: Final = 60
"""Candidates of each model."""

SCORE: Final = "_score"
"""How the feature is called, after the model, that is the model's score."""

FIRST_STAGE_KINDS: Final[dict[str, type[FittedModel]]] = {
    kind.kind: kind for kind in (ItemModel, FactorModel, SpectralModel, SessionModel, AutoencoderModel, UserKnnModel)
}

_BELOW: Final = np.float32(-1e3)
"""Added to the score of what no model proposes: it follows all that are proposed, by popularity."""

_SPREAD: Final = np.float32(1e6)
"""What the prior is multiplied by there: beside the sum its own digits would be lost."""


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """What the models propose to some listeners.

    Attributes:
        row: per candidate the row of its listener, ascending, int64.
        column: per candidate the item, int64.
        features: float32, shape (candidates, features).
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    features: NDArray[np.float32]


def rate(models: Sequence[FittedModel], history: Any) -> list[NDArray[np.float32]]:
    """Return each model's scores, comparable between models and listeners, with -inf for what was heard.

    Args:
        models: over one catalogue.
        history: CSR of counts, shape (listeners, items); few enough listeners for a dense block of each model.
    """
    heard = history.nonzero()
    rated = []
    for model in models:
        scores = _standardised(model.score(history))
        scores[heard] = -np.inf
        rated.append(scores)
    return rated


def propose(
    rated: Sequence[NDArray[np.float32]],
    history: Any,
    popularity: NDArray[np.float32],
    *,
    per_model: int,
    also: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Proposed:
    """Return the union of the models' best for some listeners, nothing heard among them.

    Args:
        rated: what `rate` gave.
        history: as there.
        popularity: of the items, shape (items,).
        per_model: candidates of each model.
        also: rows and columns of unheard items that are candidates whatever the models say.
    """
    chosen = np.zeros(history.shape, dtype=bool)
    if also is not None:
        chosen[also] = True
    for scores in rated:
        best = top(scores, per_model)
        rows, places = np.nonzero(best >= 0)
        chosen[rows, best[rows, places]] = True
    row, column = np.nonzero(chosen)
    features = [feature for scores in rated for feature in _views(scores[row, column], row)]
    features.append(np.log1p(popularity[column]))
    features.append(np.log1p(np.diff(history.indptr))[row])
    return Proposed(row=row, column=column, features=np.stack(features, axis=1).astype(np.float32))


def feature_names(models: Sequence[str]) -> list[str]:
    """Return the names of the features, in their order."""
    return [*(f"{model}{view}" for model in models for view in (SCORE, "_place")), "popularity", "items_heard"]


@dataclass(frozen=True, kw_only=True)
class TwoStage(FittedModel):
    """Models that propose and trees that order.

    Attributes:
        names: of the models, as sources of a recommendation.
        models: what proposes; the first one explains where several do.
        trees: LightGBM's text form.
        per_model: candidates of each model.
    """

    kind: ClassVar[str] = "two_stage"

    names: tuple[str, ...]
    models: tuple[FittedModel, ...]
    trees: str
    per_model: int = PER_MODEL

    @cached_property
    def _forest(self) -> Forest:
        return Forest.read(self.trees)

    @cached_property
    def _first_stage(self) -> FirstStage:
        return FirstStage.of(self.models, per_model=self.per_model)

    @cached_property
    def _rest(self) -> NDArray[np.float32]:
        """Scores of items that no model proposes."""
        return np.asarray(self.prior * _SPREAD + _BELOW, dtype=np.float32)

    def score(self, history: Any) -> NDArray[np.float32]:
        """Score what is proposed by the trees, and put the rest below it."""
        rated = rate(self.models, history)
        return self.ordered(propose(rated, history, self.popularity, per_model=self.per_model), history.shape)

    def ordered(self, found: Proposed, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Score as `score`, from what was proposed to listeners: a block of their number and all items."""
        scores = np.broadcast_to(self._rest, shape).copy()
        scores[found.row, found.column] = self._forest.rate(found.features.T)
        return scores

    def fold_in(
        self, heard: NDArray[np.int64], counts: NDArray[np.float32], *, k: int, exclude: NDArray[np.int64]
    ) -> list[tuple[int, float, Reason]]:
        """Answer one history as `score` would, without going through the whole catalogue time and again."""
        history = Heard(np.asarray(heard, dtype=np.int64), np.asarray(counts, dtype=np.float32))
        with one_blas_thread():
            columns, features = self._first_stage.propose(history)
        scores = self._forest.rate(features).astype(np.float32)
        scores[np.isin(columns, exclude)] = -np.inf
        order = np.argsort(-scores, kind="stable")[: min(k, int(np.isfinite(scores).sum()))]
        columns, scores = self._filled(columns, columns[order], scores[order], history.columns, exclude, k)
        reasons = self._reasons(history, columns)
        return list(zip(columns.tolist(), scores.tolist(), reasons, strict=True))

    def _filled(
        self, proposed: NDArray[np.int64], best: NDArray[np.int64], scores: NDArray[np.float32],
        heard: NDArray[np.int64], exclude: NDArray[np.int64], k: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:  # fmt: skip
        """Append what is popular where too little was proposed."""
        if len(best) == k:
            return best, scores
        taken = np.concatenate([proposed, heard, exclude])
        popular = self.by_popularity[: k - len(best) + len(taken)]
        rest = popular[~np.isin(popular, taken)][: k - len(best)]
        return np.concatenate([best, rest]), np.concatenate([scores, self._rest[rest]])

    def _reasons(self, heard: Heard, columns: NDArray[np.int64]) -> list[Reason]:
        because = self._first_stage.because(heard, columns)
        return self.reasons(heard.columns, heard.counts, columns) if because is None else list(map(Reason, because))

    def reasons(
        self, heard: NDArray[np.int64], counts: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> list[Reason]:
        """Let the first model explain."""
        return self.models[0].reasons(heard, counts, columns)

    def similar(self, item: int, *, k: int) -> list[tuple[int, float]]:
        """Let the first model say what is alike."""
        return self.models[0].similar(item, k=k)

    def state(self) -> State:
        """Every model below its name, and the trees as text."""
        states = {name: model.state() for name, model in zip(self.names, self.models, strict=True)}
        arrays = {key: array for name, state in states.items() for key, array in placed_below(name, state).items()}
        kinds = [model.kind for model in self.models]
        words = {"names": self.names, "kinds": kinds, "trees": self.trees, "per_model": self.per_model}
        return State(arrays, {**words, **{name: state.words for name, state in states.items()}})

    @classmethod
    def restored(cls, items: tuple[str, ...], state: State) -> TwoStage:
        """Restore every model."""
        words = state.words
        models = tuple(
            FIRST_STAGE_KINDS[kind].restored(items, state.below(name))
            for name, kind in zip(words["names"], words["kinds"], strict=True)
        )
        return cls(
            items=items, popularity=models[0].popularity, names=tuple(words["names"]), models=models,
            trees=words["trees"], per_model=words["per_model"],
        )  # fmt: skip

    def aligned(self, items: tuple[str, ...]) -> TwoStage:
        """Carry every model over."""
        models = tuple(model.aligned(items) for model in self.models)
        return TwoStage(
            items=items,
            popularity=models[0].popularity,
            names=self.names,
            models=models,
            trees=self.trees,
            per_model=self.per_model,
        )


def _standardised(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring each listener's scores to mean 0 and deviation 1: models differ in scale, listeners in length."""
    mean, deviation = scores.mean(axis=1, keepdims=True), scores.std(axis=1, keepdims=True)
    standard: NDArray[np.float32] = (scores - mean) / np.maximum(deviation, LEAST_DEVIATION)
    return standard


def _views(rated: NDArray[np.float32], row: NDArray[np.int64]) -> list[NDArray[Any]]:
    """Return a model's scores of the candidates and their places among them, as the discount of DCG."""
    return [rated, 1 / np.log2(places(rated, row) + 2)]


def places(scores: NDArray[Any], row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each candidate's place among those of its listener, from 0; rows are ascending."""
    order = np.lexsort((-scores, row))
    place = np.empty(len(row), dtype=np.int64)
    place[order] = np.arange(len(row)) - np.searchsorted(row, row)
    return place
