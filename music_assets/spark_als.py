"""iALS on Spark MLlib behind the recommender's interface: the same interactions, the same fold-in, the same measures.

For listens that no longer fit one machine. The package `recommender` imports no Spark, so this lies beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from music_assets.recommender.models.base import Listening, Model, Weighting, weigh
from music_assets.recommender.models.factors import FactorModel
from music_assets.recommender.names import IALS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import SparkSession

_SEED: Final = 42


@dataclass(frozen=True)
class SparkAls(Model):
    """Settings of iALS as Spark trains it, in the terms of `Als`.

    Spark scales the ridge by what was heard alone, so `exponent` is 1 and the catalogue does not count.

    Attributes:
        spark: session that trains.
        factors: numbers per item.
        unheard: weight of a pair that was not heard; Spark's `alpha` is one over it.
        ridge: regularisation before its scaling; Spark's `regParam` is it over `unheard`.
        epochs: rounds of alternation.
        weighting: log of the counts, or whether heard at all; divided by its mean.
    """

    name: ClassVar[str] = IALS

    spark: SparkSession
    factors: int = 128
    unheard: float = 0.02
    ridge: float = 0.02
    epochs: int = 12
    weighting: Weighting = "binary"

    def fit(self, listening: Listening) -> FactorModel:
        """Alternate on Spark; the seed is fixed."""
        history = weigh(listening.counts, self.weighting)
        mean = float(history.data.mean()) if history.nnz else 1.0
        return FactorModel(
            items=listening.items,
            popularity=listening.listeners.astype(np.float32),
            weighting=self.weighting,
            factors=self._learn(history / np.float32(mean)),
            unheard=self.unheard,
            ridge=self.ridge,
            exponent=1.0,
            catalogue=0,
            mean_weight=mean,
        )

    def _learn(self, history: Any) -> NDArray[np.float32]:
        factors = np.zeros((history.shape[1], self.factors), dtype=np.float32)
        if not history.nnz:
            return factors
        # Dagster loads the asset that may train here on every start; only training needs Spark.
        from pyspark.ml.recommendation import ALS

        pairs = history.tocoo()
        table = pa.table({"user": pairs.row, "item": pairs.col, "rating": pairs.data.astype(np.float32)})
        als = ALS(
            rank=self.factors, maxIter=self.epochs, regParam=self.ridge / self.unheard, alpha=1 / self.unheard,
            implicitPrefs=True, userCol="user", itemCol="item", ratingCol="rating", seed=_SEED,
            numUserBlocks=2, numItemBlocks=2,
        )  # fmt: skip
        learnt = als.fit(self.spark.createDataFrame(table)).itemFactors.toArrow()
        rows = learnt.column("id").to_numpy()
        flat = learnt.column("features").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        factors[rows] = flat.reshape(len(rows), self.factors)
        return factors
