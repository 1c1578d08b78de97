"""The quick answer of both stages is the plain one: candidates, features, trees, order and reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender import kernels
from music_assets.recommender.forest import MAX_LEAVES, Forest
from music_assets.recommender.models.base import FittedModel, one_history, top
from music_assets.recommender.models.factors import FactorModel
from music_assets.recommender.models.neighbours import ItemModel
from music_assets.recommender.models.session import SessionModel
from music_assets.recommender.models.spectral import SpectralModel
from music_assets.recommender.quick import FirstStage, Heard
from music_assets.recommender.retrieval import Rounded, Whole
from music_assets.recommender.two_stage import TwoStage, feature_names, propose, rate
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ITEMS = 3000
NAMES = ("near", "factors", "smooth", "session")
NOTHING = np.empty(0, dtype=np.int64)


def neighbours(draw: np.random.Generator) -> Any:
    """Fifteen neighbours each, some of which speak against an item, and a tenth of the items without any."""
    found = sparse.random(ITEMS, ITEMS, 15 / ITEMS, format="lil", dtype=np.float32, random_state=draw)
    found[draw.random(ITEMS) < 0.1] = 0
    found = sparse.csr_matrix(found, dtype=np.float32)
    found.data -= np.float32(0.1)
    return found


@pytest.fixture(scope="module")
def models() -> tuple[FittedModel, ...]:
    draw = np.random.default_rng(5)
    known: dict[str, Any] = {
        "items": tuple(f"i{item:04d}" for item in range(ITEMS)),
        "popularity": draw.integers(0, 500, ITEMS).astype(np.float32),
    }
    vectors = draw.normal(size=(3, ITEMS, 16)).astype(np.float32) * draw.gamma(1, size=(3, ITEMS, 1)).astype(np.float32)
    near = ItemModel(**known, neighbours=neighbours(draw), weighting="log")
    solved: dict[str, Any] = {"unheard": 0.01, "ridge": 0.1, "exponent": 1.0, "catalogue": ITEMS, "mean_weight": 1.5}
    return (
        near,
        FactorModel(**known, factors=vectors[0], weighting="binary", **solved),
        SpectralModel(**known, weighting="log", near=near, inward=vectors[1], outward=vectors[2]),
        SessionModel(**known, neighbours=neighbours(draw), weighting="binary", recency=0.8),
    )


def trees(features: int, leaves: int, rounds: int) -> lightgbm.Booster:
    draw = np.random.default_rng(leaves)
    seen = draw.normal(size=(4000, features)).astype(np.float32)
    label = seen[:, 0] * seen[:, 1] + seen[:, -1] + draw.normal(size=4000) > 0
    return lightgbm.train(
        {"objective": "binary", "num_leaves": leaves, "num_threads": 1, "verbose": -1},
        lightgbm.Dataset(seen, label.astype(int)),
        rounds,
    )


@pytest.fixture(scope="module")
def staged(models: tuple[FittedModel, ...]) -> TwoStage:
    grown = trees(len(feature_names(NAMES)), leaves=15, rounds=20)
    first = models[0]
    return TwoStage(
        items=first.items, popularity=first.popularity, names=NAMES, models=models, trees=grown.model_to_string()
    )


def histories() -> list[Heard]:
    draw = np.random.default_rng(9)
    lengths = (0, 1, 3, 20, 20, 20, 300)
    return [
        Heard(draw.permutation(ITEMS)[:length], draw.integers(1, 9, length).astype(np.float32)) for length in lengths
    ]


@pytest.mark.parametrize("heard", histories(), ids=lambda heard: str(len(heard.columns)))
def test_candidates_and_features_are_those_of_the_plain_way(models: tuple[FittedModel, ...], heard: Heard) -> None:
    history = one_history(heard.columns, heard.counts, ITEMS)
    plain = propose(rate(models, history), history, models[0].popularity, per_model=40)
    columns, features = FirstStage.of(models, per_model=40).propose(heard)
    assert columns.tolist() == plain.column.tolist()
    np.testing.assert_allclose(features.T, plain.features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("heard", histories(), ids=lambda heard: str(len(heard.columns)))
@pytest.mark.parametrize("k", [1, 20, 500, ITEMS])
def test_answers_are_those_of_the_plain_way(staged: TwoStage, heard: Heard, k: int) -> None:
    exclude = np.asarray([column for column, _, _ in staged.fold_in(heard.columns, heard.counts, k=5, exclude=NOTHING)])
    quick = staged.fold_in(heard.columns, heard.counts, k=k, exclude=exclude[:3])
    plain = FittedModel.fold_in(staged, heard.columns, heard.counts, k=k, exclude=exclude[:3])
    assert [column for column, _, _ in quick] == [column for column, _, _ in plain]
    assert [reason for *_, reason in quick] == [reason for *_, reason in plain]
    np.testing.assert_allclose([score for _, score, _ in quick], [score for _, score, _ in plain], rtol=1e-5)


def test_what_nobody_proposes_follows_by_popularity(staged: TwoStage) -> None:
    columns = [column for column, _, _ in staged.fold_in(NOTHING, np.empty(0, np.float32), k=ITEMS, exclude=NOTHING)]
    last = columns[len(NAMES) * staged.per_model :]
    rank = np.empty(ITEMS, dtype=np.int64)
    rank[staged.by_popularity] = np.arange(ITEMS)
    assert (np.diff(rank[last]) > 0).all()


@pytest.mark.parametrize(("leaves", "rounds"), [(2, 1), (7, 60), (MAX_LEAVES, 30)])
def test_the_forest_sums_as_lightgbm_to_the_last_bit(leaves: int, rounds: int) -> None:
    grown = trees(6, leaves, rounds)
    found = Forest.read(grown.model_to_string())
    draw = np.random.default_rng(1)
    # Values on the thresholds themselves, which a float32 may lie on either side of.
    edges = np.resize(found.threshold, (500, 6))
    for seen in (draw.normal(size=(3000, 6)), edges, np.nextafter(edges, np.float32(np.inf)), np.empty((0, 6))):
        features = seen.astype(np.float32)
        expected = grown.predict(features, raw_score=True) if len(features) else []
        np.testing.assert_array_equal(found.rate(features.T), expected)


def test_a_forest_of_leaves_without_a_test_is_their_sum() -> None:
    constant = lightgbm.train(
        {"objective": "regression", "num_leaves": 4, "verbose": -1},
        lightgbm.Dataset(np.zeros((50, 2)), np.full(50, 3.0), params={"feature_pre_filter": False}),
        2,
    )
    features = np.zeros((2, 5), dtype=np.float32)
    expected = constant.predict(features.T, raw_score=True)
    np.testing.assert_array_equal(Forest.read(constant.model_to_string()).rate(features), expected)


def test_trees_that_are_too_large_are_refused() -> None:
    with pytest.raises(IntegrityError, match="at most 32 leaves"):
        Forest.read(trees(4, MAX_LEAVES + 1, 1).model_to_string())


def sizes(draw: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    plain = draw.normal(size=(5000, 24)).astype(np.float32)
    return {
        "alike": plain,
        "of all lengths": plain * draw.gamma(0.3, size=(5000, 1)).astype(np.float32),
        "many nothing": plain * (draw.random((5000, 1)) < 0.2),
        "all nothing": np.zeros((5000, 24), dtype=np.float32),
        "few": plain[:7],
        "many equal": np.repeat(plain[:50], 100, axis=0),
    }


@pytest.mark.parametrize("kind", sizes(np.random.default_rng(0)))
@pytest.mark.parametrize("count", [1, 60, 300])
def test_rounded_vectors_lead_to_the_exact_best(kind: str, count: int) -> None:
    draw = np.random.default_rng(2)
    vectors = sizes(draw)[kind].astype(np.float32)
    base = (draw.random(len(vectors)) * 1e-4).astype(np.float32)
    for query in draw.normal(size=(5, 24)).astype(np.float32):
        scores = Rounded.of(vectors).products(query, base, base @ vectors, np.empty_like(base))
        found = scores.best(count)
        exact = vectors.astype(np.float64) @ query.astype(np.float64) + base
        assert len(found) == min(count, len(vectors))
        np.testing.assert_allclose(exact[found], np.sort(exact)[::-1][: len(found)], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose([scores.mean, scores.deviation], [exact.mean(), exact.std()], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("items", [1, 7, 64, 500, 5000])
@pytest.mark.parametrize("count", [1, 10, 60, 700])
def test_the_best_of_exact_scores_are_those_of_a_whole_sort(items: int, count: int) -> None:
    draw = np.random.default_rng(items + count)
    for scores in (draw.integers(0, 50, items), draw.normal(size=items), np.full(items, -np.inf)):
        scores = scores.astype(np.float32)
        scores[draw.random(items) < 0.3] = -np.inf
        assert Whole.exact(scores).best(count).tolist() == [
            column for column in top(scores[None], count)[0] if column >= 0
        ]


def test_moments_are_those_of_numpy_where_the_mean_is_far_from_nothing() -> None:
    scores = (np.random.default_rng(3).normal(size=50_000) * 1e-2 + 5).astype(np.float32)
    mean, deviation = kernels.moments(scores)
    np.testing.assert_allclose([mean, deviation], [scores.mean(dtype=float), scores.std(dtype=float)], rtol=1e-4)
