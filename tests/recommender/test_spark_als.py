"""iALS on Spark gives the same kind of model as ours, from the same listens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender.files import read_model, save_model
from music_assets.recommender.interactions import Counted
from music_assets.recommender.training import Workshop
from music_assets.spark_als import SparkAls, side_by_side
from tests.recommender.worlds import checkerboard, tastes

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


@pytest.mark.spark
def test_the_withheld_item_comes_first_and_the_files_hold_it(spark: SparkSession, tmp_path: Path) -> None:
    world = checkerboard()
    model = SparkAls(spark, factors=4, balance=0.5, ridge=0.01, epochs=8).fit(world)
    assert model.factors.shape == (20, 4)
    assert model.recommend(world.counts, k=1)[:, 0].tolist() == list(range(20))
    save_model(tmp_path, "model", model)
    np.testing.assert_array_equal(read_model(tmp_path, "model").score(world.counts), model.score(world.counts))


@pytest.mark.spark
def test_nothing_heard_needs_no_spark(spark: SparkSession) -> None:
    model = SparkAls(spark, factors=3).fit(Counted(("a", "b"), sparse.csr_matrix((1, 2), dtype=np.float32)))
    assert not model.factors.any()


@pytest.mark.spark
def test_both_engines_are_judged_on_the_split_of_the_asset(spark: SparkSession, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.prepare(tastes())
    trained = workshop.train("ials")
    small = replace(trained, settings={**trained.settings, "factors": 8, "epochs": 6})
    compared = side_by_side(small, workshop.split(), spark)
    assert compared["python"].keys() == compared["spark"].keys()
    assert all(0.15 < figures["ndcg@10"] <= 1 for figures in compared.values()), compared
