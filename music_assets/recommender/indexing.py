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
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from music_assets.recommender.models.base import FittedModel

EXACT_ITEMS: Final = 100_000
"""Items up to which every vector is read for an answer."""

LEAST_RECALL: Final = 0.99
"""Share of the exact best `K` that an index must surely find: the lower end of its mean's 95 % interval."""

_JUDGES: Final = 400
_SURELY: Final = 1.96
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


@dataclass(frozen=True)
class Judge:
    """Factors of a listener, and the columns of the exact best `K`, what was heard among them.

    To leave that out an index is asked for as many more: what is found then is rather more than what is judged.
    """

    query: NDArray[np.float32]
    best: NDArray[np.int64]


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
    items = len(model.items)
    if items <= EXACT_ITEMS:
        return model, Retrieval(told=f"exact: {items:,} items", recall=1.0)
    index, found = build(model.factors), np.zeros(1)
    with one_blas_thread():
        judges = list(_judges(model, histories))
        for effort in EFFORTS:
            index = replace(index, effort=effort)
            found = shares(model, index, judges)
            if found.mean() - _SURELY * found.std() / np.sqrt(len(found)) >= LEAST_RECALL:
                told = f"an index, a part of {effort.part} of its cells, {effort.candidates} candidates"
                told = f"{told}: recall@{K} {found.mean():.4f} of exact, {items:,} items"
                return replace(model, index=index), Retrieval(told=told, recall=float(found.mean()))
    told = f"exact, {items:,} items: an index found {found.mean():.4f} of the best {K}, surely {LEAST_RECALL} is needed"
    return model, Retrieval(told=told, recall=1.0)


def shares(model: FactorModel, index: Index, judges: Sequence[Judge]) -> NDArray[np.float64]:
    """Return what share of the exact best `K` an index finds for each judge; a single 0 where there are none."""
    found = [
        len(np.intersect1d(judge.best, index.best(model.factors, judge.query, model.prior, K))) / len(judge.best)
        for judge in judges
    ]
    return np.asarray(found or [0.0], dtype=np.float64)


def _judges(model: FactorModel, histories: Any) -> Iterator[Judge]:
    """Give some of the listeners who heard something, the same ones each time."""
    for query in folded_in(model, histories, _JUDGES, seed=_SEED):
        yield Judge(query, Whole.exact(model.prior + model.factors @ query).best(K))


def folded_in(model: FactorModel, histories: Any, most: int, *, seed: int) -> Iterator[NDArray[np.float32]]:
    """Give the factors of listeners drawn from those who heard something, each folded in from their history.

    Args:
        model: of factors.
        histories: CSR of counts, shape (listeners, items).
        most: how many.
        seed: of the draw.
    """
    rows = np.flatnonzero(np.diff(histories.indptr))
    for row in np.random.default_rng(seed).permutation(rows)[:most]:
        part = slice(histories.indptr[row], histories.indptr[row + 1])
        heard, counts = histories.indices[part].astype(np.int64), histories.data[part].astype(np.float32)
        yield model.listener(heard, weigh(counts, model.weighting))
