"""iALS on Spark gives the same kind of model as ours, from the same listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender.files import read_model, save_model
from music_assets.recommender.interactions import Counted
from music_assets.spark_als import SparkAls
from tests.recommender.worlds import checkerboard

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


@pytest.mark.spark
def test_the_withheld_item_comes_first_and_the_files_hold_it(spark: SparkSession, tmp_path: Path) -> None:
    world = checkerboard()
    model = SparkAls(spark, factors=4, unheard=0.1, ridge=0.01, epochs=8).fit(world)
    assert model.factors.shape == (20, 4)
    assert model.recommend(world.counts, k=1)[:, 0].tolist() == list(range(20))
    save_model(tmp_path, "model", model)
    np.testing.assert_array_equal(read_model(tmp_path, "model").score(world.counts), model.score(world.counts))


@pytest.mark.spark
def test_nothing_heard_needs_no_spark(spark: SparkSession) -> None:
    model = SparkAls(spark, factors=3).fit(Counted(("a", "b"), sparse.csr_matrix((1, 2), dtype=np.float32)))
    assert not model.factors.any()
