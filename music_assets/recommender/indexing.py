"""Which catalogues get an index, and its gate: it finds what reading every vector finds, or is not used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from music_assets.recommender.index import EFFORTS, Index, K
from music_assets.recommender.models.base import weigh
from music_assets.recommender.models.blocks import one_blas_thread
from music_assets.recommender.models.factors import FactorModel
from music_assets.recommender.names import IALS
from music_assets.recommender.retrieval import Whole
from music_assets.recommender.two_stage import TwoStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from music_assets.recommender.models.base import FittedModel

EXACT_ITEMS: Final = 100_000
"""Items up to which every vector is read for an answer."""

LEAST_RECALL: Final = 0.99
"""Share of the exact best `K` that an index must find, the mean over histories."""

_JUDGES: Final = 200
_SEED: Final = 8


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """How the best of a model's catalogue are found.

    Attributes:
        told: one sentence.
        recall: share of the exact best `K` that is found, 1 where all vectors are read.
    """

    told: str
    recall: float


def indexed(
    model: FittedModel, histories: Any, *, build: Callable[[NDArray[np.float32]], Index] = Index.of
) -> tuple[FittedModel, dict[str, Retrieval]]:
    """Return a model whose factors have an index where they need one, and for each model of factors how it retrieves.

    Args:
        model: fitted; of both stages, or of factors alone. Any other is returned as it is.
        histories: CSR of counts, shape (listeners, items): what listeners are folded in from to judge an index.
        build: makes an index of vectors.
    """
    if isinstance(model, FactorModel):
        served, found = _judged(model, histories, build)
        return served, {IALS: found}
    if not isinstance(model, TwoStage):
        return model, {}
    models, told = list(model.models), {}
    for place, (name, part) in enumerate(zip(model.names, model.models, strict=True)):
        if isinstance(part, FactorModel):
            models[place], told[name] = _judged(part, histories, build)
    return replace(model, models=tuple(models)), told


def _judged(
    model: FactorModel, histories: Any, build: Callable[[NDArray[np.float32]], Index]
) -> tuple[FactorModel, Retrieval]:
    """Return a model with the quickest index that finds enough, or without one."""
    items, recall = len(model.items), 0.0
    if items <= EXACT_ITEMS:
        return model, Retrieval(told=f"exact: {items:,} items", recall=1.0)
    index = build(model.factors)
    for effort in EFFORTS:
        index = replace(index, effort=effort)
        recall = recall_of(model, index, histories)
        if recall >= LEAST_RECALL:
            told = f"an index, a part of {effort.part} of its cells, {effort.candidates} candidates"
            told = f"{told}: recall@{K} {recall:.4f} of exact, {items:,} items"
            return replace(model, index=index), Retrieval(told=told, recall=recall)
    told = f"exact, {items:,} items: an index found {recall:.4f} of the best {K} at most, {LEAST_RECALL} are needed"
    return model, Retrieval(told=told, recall=1.0)


def recall_of(model: FactorModel, index: Index, histories: Any) -> float:
    """Return the share of the exact best `K` that an index finds for some listeners, 0 where nobody heard anything."""
    found = []
    with one_blas_thread():
        for heard, counts in _sampled(histories):
            query = model.listener(heard, weigh(counts, model.weighting))
            exact = Whole.exact(model.prior + model.factors @ query).best(K, heard)
            best = index.best(model.factors, query, model.prior, K, heard)
            found.append(len(np.intersect1d(exact, best)) / len(exact))
    return float(np.mean(found)) if found else 0.0


def _sampled(histories: Any) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Give columns and counts of some histories that hold something, the same ones each time."""
    rows = np.flatnonzero(np.diff(histories.indptr))
    for row in np.random.default_rng(_SEED).permutation(rows)[:_JUDGES]:
        part = slice(histories.indptr[row], histories.indptr[row + 1])
        yield histories.indices[part].astype(np.int64), histories.data[part].astype(np.float32)
