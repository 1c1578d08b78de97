"""iALS: factors of items by alternating least squares over all pairs (Hu et al., ICDM 2008), with the ridge scaled by
how often a row is heard (Rendle et al., RecSys 2022). irspack trains; only the factors of items are kept, and a
listener's are solved from the history at the moment of asking.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from music_assets.recommender.index import Effort, Index
from music_assets.recommender.models.base import (
    AdditiveModel,
    Listening,
    Model,
    Reason,
    State,
    Weighting,
    selection,
    spoken_for,
    weigh,
)
from music_assets.recommender.models.blocks import one_blas_thread
from music_assets.recommender.names import IALS
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


_SOLVED_WITH: Final = ("weighting", "unheard", "ridge", "exponent", "catalogue", "mean_weight")
_INDEX: Final = "index"
_EFFORT: Final = "effort"


@dataclass(frozen=True, kw_only=True)
class FactorModel(AdditiveModel):
    """Factors of items.

    Attributes:
        factors: float32, shape (items, factors).
        unheard: weight of a pair that was not heard, against 1 for one that was.
        ridge: regularisation, scaled by `(unheard * catalogue + weight heard) ** exponent` of the listener.
        catalogue: items it learnt from.
        exponent: of that scale.
        mean_weight: what a history's weights are divided by.
        index: what leads to the best of a catalogue that is too large to be read for one answer, or None.
    """

    kind: ClassVar[str] = "factors"

    factors: NDArray[np.float32]
    unheard: float
    ridge: float
    exponent: float
    catalogue: int
    mean_weight: float
    index: Index | None = None

    @cached_property
    def _gram(self) -> NDArray[np.float32]:
        return np.asarray(self.unheard * (self.factors.T @ self.factors), dtype=np.float32)

    def spoken(self, weights: Any) -> NDArray[np.float32]:
        """Solve each listener's factors and multiply with the items'."""
        listeners = np.empty((weights.shape[0], self.factors.shape[1]), dtype=np.float32)
        # Many small systems: the threads of BLAS wait for each other longer than they work.
        with one_blas_thread():
            for row in range(weights.shape[0]):
                heard = slice(weights.indptr[row], weights.indptr[row + 1])
                listeners[row] = self.listener(weights.indices[heard], weights.data[heard])
        return np.asarray(listeners @ self.factors.T, dtype=np.float32)

    def listener(self, heard: NDArray[Any], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a listener's factors, shape (factors,), from columns heard and their weights."""
        return _solved(*self._system(heard, weights))

    def fold_in(
        self, heard: NDArray[np.int64], counts: NDArray[np.float32], *, k: int, exclude: NDArray[np.int64]
    ) -> list[tuple[int, float, Reason]]:
        """Answer one history through the index where there is one."""
        if self.index is None:
            return super().fold_in(heard, counts, k=k, exclude=exclude)
        with one_blas_thread():
            listener = self.listener(heard, weigh(counts, self.weighting))
            without = np.concatenate([heard, exclude])
            best = self.index.best(self.factors, listener, self.prior, k, without)
            scores = self.prior[best] + self.factors[best] @ listener
            reasons = self.reasons(heard, counts, best)
        return list(zip(best.tolist(), scores.tolist(), reasons, strict=True))

    def speaks(
        self, heard: NDArray[np.int64], weights: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Split each score over the items heard: it is linear in their right-hand sides (Hu et al., section 5)."""
        system, _ = self._system(heard, weights)
        through = _solved(system, self.factors[columns].T)
        return np.asarray((self.factors[heard] * (weights / self.mean_weight)[:, None]) @ through, dtype=np.float32)

    def similar(self, item: int, *, k: int) -> list[tuple[int, float]]:
        """Return the items with the nearest direction."""
        norms = np.maximum(np.linalg.norm(self.factors, axis=1), 1e-9)
        cosine = self.factors @ self.factors[item] / (norms * norms[item])
        return spoken_for(cosine, item, k)

    def state(self) -> State:
        """The factors, what a listener's are solved with, and the index."""
        arrays, words = {"popularity": self.popularity, "factors": self.factors}, self._words
        if self.index is None:
            return State(arrays, words)
        return State({**arrays, _INDEX: self.index.raw()}, {**words, _EFFORT: asdict(self.index.effort)})

    @classmethod
    def restored(cls, items: tuple[str, ...], state: State) -> FactorModel:
        """Take all as it was.

        Raises:
            IntegrityError: the index is none, or one of other factors.
        """
        learnt: dict[str, Any] = {**state.arrays, **state.words}
        raw, effort = learnt.pop(_INDEX, None), learnt.pop(_EFFORT, {})
        index = None if raw is None else Index.restored(raw, Effort(**effort), learnt["factors"].shape)
        return cls(items=items, index=index, **learnt)

    def aligned(self, items: tuple[str, ...]) -> FactorModel:
        """Carry the factors over, without their index; an unknown item has none."""
        select = selection(self.items, items)
        return FactorModel(
            items=items,
            popularity=np.asarray(select @ self.popularity, dtype=np.float32),
            factors=np.asarray(select @ self.factors, dtype=np.float32),
            **self._words,
        )

    @property
    def _words(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SOLVED_WITH}

    def _system(
        self, heard: NDArray[Any], weights: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        known = self.factors[heard]
        confidence = (weights / self.mean_weight)[:, None]
        scale = (self.unheard * self.catalogue + float(confidence.sum())) ** self.exponent
        system = self._gram + known.T @ (known * confidence)
        system.flat[:: len(system) + 1] += max(self.ridge * scale, 1e-6)
        return system, (known * confidence).sum(axis=0)


def _solved(system: NDArray[np.float32], side: NDArray[np.float32]) -> NDArray[np.float32]:
    """Solve a positive definite system, which is overwritten."""
    _, solution, failed = lapack.sposv(system.T, side, lower=1, overwrite_a=1)
    if failed:
        raise IntegrityError("iALS cannot solve for a listener: its factors are not finite; train it again")
    return np.asarray(solution, dtype=np.float32)


def fitted(
    listening: Listening, learn: Callable[[Any], NDArray[np.float32]], *, weighting: Weighting, unheard: float,
    ridge: float, exponent: float, catalogue: int,
) -> FactorModel:  # fmt: skip
    """Return the model of the factors that a trainer learns from weights of mean 1.

    Args:
        listening: what to learn from.
        learn: CSR of weights, shape (listeners, items), to the items' factors, float32, shape (items, factors).
        weighting: how counts become weights.
        unheard: as in `FactorModel`, and so are the others.
        ridge: as there.
        exponent: as there.
        catalogue: as there.
    """
    history = weigh(listening.counts, weighting)
    mean = float(history.data.mean()) if history.nnz else 1.0
    return FactorModel(
        items=listening.items,
        popularity=listening.listeners.astype(np.float32),
        weighting=weighting,
        factors=learn(history / np.float32(mean)),
        unheard=unheard,
        ridge=ridge,
        exponent=exponent,
        catalogue=catalogue,
        mean_weight=mean,
    )


def unheard_weight(listening: Listening, balance: float) -> float:
    """Return the weight of one pair that was not heard, so that all of them weigh `balance` times those that were.

    Args:
        listening: listeners who heard nothing do not count.
        balance: as in `Als`.
    """
    listeners = np.count_nonzero(np.diff(listening.counts.indptr))
    heard: int = listening.counts.nnz
    return balance * heard / max(int(listeners) * len(listening.items), 1)


@dataclass(frozen=True)
class Als(Model):
    """Settings of iALS.

    Attributes:
        factors: numbers per item.
        balance: weight of all pairs that were not heard over that of all that were. A weight of one pair would have to
            be another for every catalogue: a sparse one has so many of them.
        ridge: regularisation before its scaling.
        exponent: 1 scales the ridge with what was heard, 0 not at all.
        epochs: rounds of alternation.
        weighting: log of the counts, or whether heard at all; divided by its mean.
    """

    name: ClassVar[str] = IALS

    factors: int = 128
    balance: float = 3.0
    ridge: float = 0.02
    exponent: float = 1.0
    epochs: int = 12
    weighting: Weighting = "binary"

    def fit(self, listening: Listening) -> FactorModel:
        """Alternate; the seed is fixed."""
        unheard = unheard_weight(listening, self.balance)
        return fitted(
            listening, partial(self._learn, unheard=unheard), weighting=self.weighting, unheard=unheard,
            ridge=self.ridge, exponent=self.exponent, catalogue=len(listening.items),
        )  # fmt: skip

    def _learn(self, history: Any, *, unheard: float) -> NDArray[np.float32]:
        if not history.nnz:
            return np.zeros((history.shape[1], self.factors), dtype=np.float32)
        # The import takes a second, and only training needs it.
        from irspack.recommenders.ials import IALSTrainer, LossType, SolverType, get_n_threads

        trainer = IALSTrainer(
            sparse.csr_matrix(history, dtype=np.float32),
            n_components=self.factors, alpha0=unheard, reg=self.ridge, nu=self.exponent, init_std=0.1,
            solver_type=SolverType.CG, max_cg_steps=3, ialspp_subspace_dimension=64, loss_type=LossType.IALSPP,
            random_seed=42, n_threads=get_n_threads(None), prediction_time_max_cg_steps=5,
            prediction_time_ialspp_iteration=1,
        )  # fmt: skip
        for _ in range(self.epochs):
            trainer.run_epoch()
        return np.asarray(trainer.core_trainer.item, dtype=np.float32)
