"""iALS on Spark MLlib behind the recommender's interface: the same interactions, the same fold-in, the same measures.

For listens that no longer fit one machine. The package `recommender` imports no Spark, so this lies beside it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from music_assets.recommender.candidates import measured
from music_assets.recommender.models.base import Listening, Model, Weighting
from music_assets.recommender.models.factors import FactorModel, fitted, unheard_weight
from music_assets.recommender.names import IALS
from music_assets.recommender.recipes import recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import SparkSession

    from music_assets.recommender.candidates import Candidate
    from music_assets.recommender.split import Split

_SEED: Final = 42


@dataclass(frozen=True)
class SparkAls(Model):
    """Settings of iALS as Spark trains it, in the terms of `Als`.

    Spark scales the ridge by what was heard alone, so `exponent` is 1 and the catalogue does not count.

    Attributes:
        spark: session that trains.
        factors: numbers per item.
        balance: gives the weight of a pair that was not heard; Spark's `alpha` is one over that.
        ridge: regularisation before its scaling; Spark's `regParam` is it over the same weight.
        epochs: rounds of alternation.
        weighting: log of the counts, or whether heard at all; divided by its mean.
    """

    name: ClassVar[str] = IALS

    spark: SparkSession
    factors: int = 128
    balance: float = 3.0
    ridge: float = 0.02
    epochs: int = 12
    weighting: Weighting = "binary"

    def fit(self, listening: Listening) -> FactorModel:
        """Alternate on Spark; the seed is fixed."""
        unheard = unheard_weight(listening, self.balance)
        return fitted(
            listening, partial(self._learn, unheard=unheard), weighting=self.weighting, unheard=unheard,
            ridge=self.ridge, exponent=1.0, catalogue=0,
        )  # fmt: skip

    def _learn(self, history: Any, *, unheard: float) -> NDArray[np.float32]:
        factors = np.zeros((history.shape[1], self.factors), dtype=np.float32)
        if not history.nnz:
            return factors
        # Dagster loads the asset that may train here on every start; only training needs Spark.
        from pyspark.ml.recommendation import ALS

        pairs = history.tocoo()
        table = pa.table({"user": pairs.row, "item": pairs.col, "rating": pairs.data.astype(np.float32)})
        als = ALS(
            rank=self.factors, maxIter=self.epochs, regParam=self.ridge / unheard, alpha=1 / unheard,
            implicitPrefs=True, userCol="user", itemCol="item", ratingCol="rating", seed=_SEED,
            numUserBlocks=2, numItemBlocks=2,
        )  # fmt: skip
        learnt = als.fit(self.spark.createDataFrame(table)).itemFactors.toArrow()
        rows = learnt.column("id").to_numpy()
        flat = learnt.column("features").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        factors[rows] = flat.reshape(len(rows), self.factors)
        return factors


def side_by_side(trained: Candidate, split: Split, spark: SparkSession) -> dict[str, dict[str, float]]:
    """Fit a candidate's settings again on both engines and judge both on the same split.

    Args:
        trained: a candidate of the recipe iALS.
        split: that it was fitted and measured on.
        spark: session that trains the other one.

    Returns:
        Engine to its metrics and the seconds of its fit.
    """
    ours = recipe(IALS).build(trained.settings)
    shared = {field.name: trained.settings[field.name] for field in fields(SparkAls) if field.name in trained.settings}
    return {"python": _judged(ours, split), "spark": _judged(SparkAls(spark, **shared), split)}


def _judged(model: Model, split: Split) -> dict[str, float]:
    started = time.monotonic()
    found = model.fit(split.train)
    seconds = time.monotonic() - started
    return {**measured(found, split.history, split.test).means(), "seconds": round(seconds, 2)}
