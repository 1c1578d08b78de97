"""The second stage: what it sees, what it learns, and that files hold it as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender.examples import examples
from music_assets.recommender.files import read_model, save_model
from music_assets.recommender.interactions import Counted
from music_assets.recommender.metrics import evaluate
from music_assets.recommender.models.autoencoder import Autoencoder
from music_assets.recommender.models.base import FittedModel, top
from music_assets.recommender.models.ease import Ease
from music_assets.recommender.models.factors import Als
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.models.session import Session
from music_assets.recommender.models.spectral import Spectral
from music_assets.recommender.models.user_knn import UserKnn
from music_assets.recommender.stacking import Stacked, able_to_judge, folds, stack
from music_assets.recommender.trees import grow
from music_assets.recommender.two_stage import TwoStage, feature_names, places, propose, rate
from tests.recommender.worlds import checkerboard, tastes

if TYPE_CHECKING:
    from pathlib import Path

K = 10


@pytest.fixture(scope="module")
def world() -> tuple[Counted, Any]:
    """Listeners of three genres: what may be learnt, and a fifth of each one's items apart."""
    whole = tastes(listeners=240)
    return next(iter(folds(Counted(whole.items, whole.counts), 5)))


@pytest.fixture(scope="module")
def stacked(world: tuple[Counted, Any]) -> Stacked:
    return stack(world[0], k=K, seconds=5)


def test_each_pair_is_apart_in_one_fold_and_learnt_from_in_the_others() -> None:
    whole = checkerboard()
    counted = Counted(whole.items, whole.counts)
    parts = list(folds(counted, 5))
    assert (sum(apart for _, apart in parts) != whole.counts).nnz == 0
    for train, apart in parts:
        assert train.counts.multiply(apart).nnz == 0
        assert (train.counts + apart != whole.counts).nnz == 0
        assert (np.diff(apart.indptr) >= 1).all(), "nine items each: every fold has one at least"


def test_candidates_are_the_union_and_nothing_heard_is_among_them() -> None:
    world = checkerboard()
    models: list[FittedModel] = [Popularity().fit(world), Ease(strength=1).fit(world)]
    history = world.counts[:4]
    rated = rate(models, history)
    found = propose(rated, history, models[0].popularity, per_model=3)
    for row in range(4):
        mine = set(found.column[found.row == row])
        best = {int(item) for scores in rated for item in np.argsort(-scores[row], kind="stable")[:3]}
        assert mine == best
        assert not mine & set(history[row].indices)
    assert found.features.shape == (len(found.row), len(feature_names(["popularity", "ease"])))
    assert np.isfinite(found.features).all()


def test_places_are_counted_for_each_listener() -> None:
    row = np.asarray([0, 0, 0, 2, 2])
    assert places(np.asarray([1.0, 3.0, 2.0, 5.0, 5.0]), row).tolist() == [2, 0, 1, 0, 1]


def test_the_trees_and_each_model_are_judged_on_the_same_listeners(world: tuple[Counted, Any]) -> None:
    train, test = world
    models = [Ease(strength=1).fit(train), Popularity().fit(train)]
    rows = able_to_judge(train, test)
    found = examples(models, train.counts[rows], test[rows])
    names = feature_names(["ease", "popularity"])

    trees = grow(found, names, k=K)

    apart = found.of(found.drawn(0.2, 7))
    assert trees.rivals == {
        "ease": pytest.approx(apart.ndcg(apart.features[:, names.index("ease_score")], K)),
        "popularity": pytest.approx(apart.ndcg(apart.features[:, names.index("popularity_score")], K)),
    }


def test_ndcg_of_examples_is_that_of_the_metrics(world: tuple[Counted, Any]) -> None:
    train, test = world
    model = Ease(strength=10).fit(train)
    rows = np.flatnonzero(np.diff(test.indptr) > 0)
    found = examples([model], train.counts[rows], test[rows])
    full = evaluate(model.recommend(train.counts[rows], k=K), test[rows], k=K, items=len(train.items))
    assert found.ndcg(found.features[:, 0], K) == pytest.approx(full.ndcg.mean(), abs=1e-6)


def test_what_is_found_in_the_end_is_no_less_than_validation_said(world: tuple[Counted, Any], stacked: Stacked) -> None:
    train, test = world
    rows = np.flatnonzero(np.diff(test.indptr) > 0)
    ranked = stacked.model.recommend(train.counts[rows], k=K)
    found = evaluate(ranked, test[rows], k=K, items=len(train.items)).ndcg.mean()
    popular = Popularity().fit(train).recommend(train.counts[rows], k=K)
    assert found > 2 * evaluate(popular, test[rows], k=K, items=len(train.items)).ndcg.mean()
    assert found > stacked.validated[TwoStage.kind] - 0.05, "validation, with a tenth less to learn from, promises less"


def test_it_is_nearly_as_good_as_who_knows_the_tastes(world: tuple[Counted, Any], stacked: Stacked) -> None:
    train, test = world
    rows = np.flatnonzero(np.diff(test.indptr) > 0)
    genre = np.asarray([int(item.removeprefix("track:")) % 3 for item in train.items])
    liked = (genre[None, :] == (rows % 3)[:, None]).astype(np.float32)
    liked[train.counts[rows].nonzero()] = -np.inf
    knows = evaluate(top(liked, K), test[rows], k=K, items=len(train.items)).ndcg.mean()
    ranked = stacked.model.recommend(train.counts[rows], k=K)
    assert evaluate(ranked, test[rows], k=K, items=len(train.items)).ndcg.mean() > 0.9 * knows


def test_a_signal_that_only_the_future_has_gives_no_gain(world: tuple[Counted, Any]) -> None:
    """An item whose listens all lie in the part apart is unknown to every model and to the trees."""
    train, test = world
    planted = test.tolil()
    planted[:, 0] = 1
    blind = train.counts.tolil()
    blind[:, 0] = 0
    learnt = Counted(train.items, sparse.csr_matrix(blind, dtype=np.float32))
    learnt.counts.eliminate_zeros()
    model = stack(learnt, k=K, seconds=5).model
    rows = np.flatnonzero(np.diff(sparse.csr_matrix(planted).indptr) > 0)
    # Everybody hears it later: known of, it would come first. The last places of a list hold what is left.
    assert not (model.recommend(learnt.counts[rows], k=K // 2) == 0).any()


def test_one_answer_equals_many_and_files_hold_it(stacked: Stacked, world: tuple[Counted, Any], tmp_path: Path) -> None:
    save_model(tmp_path, "model", stacked.model)
    again = read_model(tmp_path, "model")
    history = world[0].counts[:20]
    ranked = stacked.model.recommend(history, k=K)
    np.testing.assert_array_equal(again.recommend(history, k=K), ranked)
    for row in range(20):
        heard = history[row]
        answers = again.fold_in(heard.indices, heard.data, k=K, exclude=np.empty(0, dtype=np.int64))
        assert [column for column, _, _ in answers] == list(ranked[row])
        assert any(reason.because in heard.indices for _, _, reason in answers)


@pytest.mark.parametrize(
    "model",
    [
        Ease(strength=1),
        Als(factors=4),
        Spectral(rank=2),
        Session(),
        Popularity(),
        Autoencoder(hidden=4),
        UserKnn(keep=3),
    ],
    ids=repr,
)
def test_files_hold_every_kind(model: Any, tmp_path: Path) -> None:
    fitted = model.fit(checkerboard())
    save_model(tmp_path, "model", fitted)
    again = read_model(tmp_path, "model")
    np.testing.assert_array_equal(again.score(checkerboard().counts), fitted.score(checkerboard().counts))


def test_another_catalogue_keeps_the_order_of_known_items(stacked: Stacked, world: tuple[Counted, Any]) -> None:
    aligned = stacked.model.aligned(("new", *stacked.model.items))
    history = world[0].counts[:20]
    wider = sparse.hstack([sparse.csr_matrix((20, 1), dtype=np.float32), history], format="csr")
    assert aligned.recommend(wider, k=3).shape == (20, 3)
    assert not (aligned.recommend(wider, k=3) == 0).any()
