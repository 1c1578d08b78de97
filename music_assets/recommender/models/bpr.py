"""BPR: factors of items learnt from pairs of one heard and one unheard item (Rendle et al., UAI 2009).

implicit learns. A listener's factors are not kept: they are solved from the history as those of iALS are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from scipy import sparse

from music_assets.recommender.models.base import Listening, Model, Weighting
from music_assets.recommender.models.blocks import one_blas_thread
from music_assets.recommender.models.factors import FactorModel
from music_assets.recommender.names import BPR

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED: Final = 42
_WEIGHTING: Final[Weighting] = "binary"


@dataclass(frozen=True)
class Bpr(Model):
    """Settings of BPR.

    Attributes:
        factors: numbers per item.
        rate: step of the gradient.
        decay: regularisation while learning.
        epochs: rounds over all pairs at most.
        pairs: looked at in all rounds at most, one round at the least: what is heard more often is learnt in fewer.
        unheard: weight of a pair that was not heard when a listener is solved for, against 1 for one that was.
        ridge: regularisation of that.
    """

    name: ClassVar[str] = BPR

    factors: int = 64
    rate: float = 0.05
    decay: float = 0.01
    epochs: int = 60
    pairs: int = 60_000_000
    unheard: float = 0.02
    ridge: float = 0.1

    def fit(self, listening: Listening) -> FactorModel:
        """Descend on one thread with a fixed seed: several would overwrite each other in another order every time."""
        return FactorModel(
            items=listening.items,
            popularity=listening.listeners.astype(np.float32),
            weighting=_WEIGHTING,
            factors=self._learn(listening.counts),
            unheard=self.unheard,
            ridge=self.ridge,
            exponent=0.0,
            catalogue=len(listening.items),
            mean_weight=1.0,
        )

    def rounds(self, heard: int) -> int:
        """Return how often all pairs that were heard are looked at."""
        return max(1, min(self.epochs, self.pairs // heard))

    def _learn(self, counts: Any) -> NDArray[np.float32]:
        if not counts.nnz:
            return np.zeros((counts.shape[1], self.factors), dtype=np.float32)
        # The import takes a second, and only training needs it.
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        learner = BayesianPersonalizedRanking(
            factors=self.factors, learning_rate=self.rate, regularization=self.decay,
            iterations=self.rounds(counts.nnz), num_threads=1, random_state=_SEED,
        )  # fmt: skip
        with one_blas_thread():
            learner.fit(sparse.csr_matrix(counts, dtype=np.float32), show_progress=False)
        # The last number is the item's bias, its popularity: the prior speaks for that.
        factors: NDArray[np.float32] = np.ascontiguousarray(learner.item_factors[:, : self.factors], dtype=np.float32)
        return factors
