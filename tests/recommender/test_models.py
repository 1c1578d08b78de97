"""One suite for every model, and what each must know by itself."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_info

from music_assets.bench.planted import planted
from music_assets.recommender.interactions import Counted, Interactions
from music_assets.recommender.item_features import ItemFeatures
from music_assets.recommender.metrics import difference, evaluate
from music_assets.recommender.models import blocks, neighbours
from music_assets.recommender.models.artist_graph import ArtistGraph
from music_assets.recommender.models.autoencoder import Autoencoder
from music_assets.recommender.models.base import AdditiveModel, FittedModel, Model, top, weigh
from music_assets.recommender.models.bpr import Bpr
from music_assets.recommender.models.content import Content
from music_assets.recommender.models.ease import Ease
from music_assets.recommender.models.factors import Als, unheard_weight
from music_assets.recommender.models.knn import ItemKnn
from music_assets.recommender.models.neighbours import ItemModel, strongest
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.models.session import Session, discounts
from music_assets.recommender.models.spectral import Spectral
from music_assets.recommender.models.user_knn import UserKnn
from music_assets.recommender.models.walk import Walk
from music_assets.recommender.split import cutoff_of, split_at
from streaming.errors import ConfigurationError
from tests.recommender.worlds import DAY, checkerboard, features, listens

PERSONAL = [
    Ease(strength=1),
    Ease(strength=1, weighting="log"),
    Ease(strength=1, dropout=0.5, listener_exponent=0.5, item_exponent=0.3),
    Als(factors=4, balance=0.5, ridge=0.01),
    ItemKnn(shrink=1),
    Spectral(rank=2),
    Walk(),
    Bpr(factors=8),
    Session(),
    Content(),
    ArtistGraph(shrink=1),
]
WHOLE = [Autoencoder(hidden=8, epochs=300, rate=0.01), UserKnn(keep=3)]
"""Those whose scores are no sum of what each item heard says by itself."""
MODELS = [Popularity(), Popularity(half_life_days=7), *PERSONAL, *WHOLE]


@pytest.fixture(params=MODELS, ids=repr)
def fitted(request: pytest.FixtureRequest) -> FittedModel:
    model: Model = request.param
    return model.fit(checkerboard())


@pytest.fixture(params=[*PERSONAL, *WHOLE], ids=repr)
def personal(request: pytest.FixtureRequest) -> FittedModel:
    model: Model = request.param
    return model.fit(checkerboard())


@pytest.fixture(params=PERSONAL, ids=repr)
def additive(request: pytest.FixtureRequest) -> AdditiveModel:
    fitted = request.param.fit(checkerboard())
    assert isinstance(fitted, AdditiveModel)
    return fitted


def test_scores_are_one_dense_row_per_history(fitted: FittedModel) -> None:
    scores = fitted.score(checkerboard().counts)
    assert scores.shape == (20, 20)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_all_that_was_not_heard_weighs_the_same_in_a_catalogue_of_any_size() -> None:
    few = checkerboard()
    more = Counted(
        (*few.items, *(f"new {number}" for number in range(80))),
        sparse.hstack([few.counts, sparse.csr_matrix((20, 80), dtype=np.float32)], format="csr"),
    )
    for world in (few, more):
        pairs = world.counts.shape[0] * world.counts.shape[1]
        assert unheard_weight(world, 3.0) * pairs == pytest.approx(3 * world.counts.nnz)
    nobody = sparse.vstack([few.counts, sparse.csr_matrix((5, 20), dtype=np.float32)], format="csr")
    assert unheard_weight(Counted(few.items, nobody), 1.0) == unheard_weight(few, 1.0)


def test_nothing_heard_is_recommended_and_nothing_twice(fitted: FittedModel) -> None:
    history = checkerboard().counts
    ranked = fitted.recommend(history, k=11)
    for row, heard in zip(ranked, history, strict=True):
        assert not set(row) & set(heard.indices)
        assert len(set(row)) == len(row) == 11


def test_asking_for_more_than_there_is_ends_with_the_catalogue(fitted: FittedModel) -> None:
    history = checkerboard().counts
    ranked = fitted.recommend(history, k=50)
    assert ranked.shape == (20, 50)
    assert ((ranked >= 0).sum(axis=1) == 20 - np.diff(history.indptr)).all()


def test_one_folded_in_equals_many_at_once(fitted: FittedModel) -> None:
    history = checkerboard().counts
    ranked = fitted.recommend(history, k=8)
    for number in range(history.shape[0]):
        row = history[number]
        alone = fitted.fold_in(row.indices, row.data, k=8, exclude=np.empty(0, dtype=np.int64))
        assert [column for column, _, _ in alone] == list(ranked[number])


def test_many_blocks_are_ranked_as_one_and_blas_keeps_its_threads(
    fitted: FittedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = checkerboard().counts
    whole, before = fitted.recommend(history, k=8), [each["num_threads"] for each in threadpool_info()]
    monkeypatch.setattr(blocks, "BLOCK", 3)
    np.testing.assert_array_equal(fitted.recommend(history, k=8), whole)
    assert [each["num_threads"] for each in threadpool_info()] == before


def test_what_is_excluded_stays_out(fitted: FittedModel) -> None:
    row = checkerboard().counts[0]
    first = fitted.fold_in(row.indices, row.data, k=3, exclude=np.empty(0, dtype=np.int64))[0][0]
    rest = fitted.fold_in(row.indices, row.data, k=20, exclude=np.asarray([first]))
    assert first not in {column for column, _, _ in rest}


def test_nobody_knows_gets_the_most_popular(fitted: FittedModel) -> None:
    nobody = sparse.csr_matrix((1, 20), dtype=np.float32)
    assert list(fitted.recommend(nobody, k=20)[0]) == list(fitted.by_popularity)
    alone = fitted.fold_in(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), k=5, exclude=np.asarray([0]))
    assert [column for column, _, _ in alone] == [column for column in fitted.by_popularity if column != 0][:5]
    assert all(reason.because is None for _, _, reason in alone)


def test_the_same_listens_give_the_same_model(fitted: FittedModel, request: pytest.FixtureRequest) -> None:
    again = request.node.callspec.params["fitted"].fit(checkerboard())
    np.testing.assert_allclose(again.score(checkerboard().counts), fitted.score(checkerboard().counts), atol=1e-6)
    np.testing.assert_array_equal(again.popularity, fitted.popularity)


def test_another_catalogue_changes_no_score_of_a_known_item(fitted: FittedModel) -> None:
    aligned = fitted.aligned(("new", *reversed(fitted.items)))
    history = checkerboard().counts
    wider = sparse.hstack([sparse.csr_matrix((20, 1)), history[:, ::-1]], format="csr")
    np.testing.assert_array_equal(aligned.popularity, [0, *fitted.popularity[::-1]])
    spoken = (aligned.score(wider) - aligned.prior)[:, :0:-1]
    np.testing.assert_allclose(spoken, fitted.score(history) - fitted.prior, atol=1e-5)


def test_a_model_of_nothing_answers_nothing() -> None:
    empty = Interactions.collect([])
    for model in MODELS:
        assert model.fit(empty).recommend(sparse.csr_matrix((1, 0)), k=5).tolist() == [[-1] * 5]


def test_the_withheld_item_comes_first(personal: FittedModel) -> None:
    assert personal.recommend(checkerboard().counts, k=1)[:, 0].tolist() == list(range(20))


def test_similar_items_are_of_the_same_colour_and_not_the_item_itself(personal: FittedModel) -> None:
    for item in range(20):
        found = personal.similar(item, k=5)
        assert len(found) == 5
        assert all(other % 2 == item % 2 and other != item for other, _ in found)
        assert [weight for _, weight in found] == sorted((weight for _, weight in found), reverse=True)


def test_the_reason_is_the_item_that_spoke_loudest(additive: AdditiveModel) -> None:
    heard = np.asarray([2, 3, 5])
    column, score, reason = additive.fold_in(
        heard, np.ones(3, dtype=np.float32), k=1, exclude=np.empty(0, dtype=np.int64)
    )[0]
    said = additive.speaks(heard, weigh(np.ones(3, dtype=np.float32), additive.weighting), np.asarray([column]))[:, 0]
    assert reason.because == heard[said.argmax()]
    assert score == pytest.approx(said.sum(), abs=2e-4)


def test_ease_is_the_closed_form() -> None:
    history = (checkerboard().counts.toarray() > 0).astype(float)
    inverse = np.linalg.inv(history.T @ history + 3 * np.eye(20))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(Ease(strength=3).fit(checkerboard()).neighbours.toarray(), expected, atol=1e-5)


def test_ease_keeps_the_strongest_neighbours_only() -> None:
    full = Ease(strength=3).fit(checkerboard()).neighbours.toarray()
    kept = Ease(strength=3, keep=4).fit(checkerboard()).neighbours
    assert (np.diff(kept.indptr) == 4).all()
    for row in range(20):
        dropped = np.delete(np.abs(full[row]), kept[row].indices)
        assert np.abs(kept[row].data).min() >= dropped.max() - 1e-6


def test_ease_without_a_tail_is_popularity_beyond_its_head() -> None:
    world = listens(
        [(f"u{user}", f"head{item}", user) for user in range(6) for item in range(4) if user != item]
        + [("u0", "tail1", 1), ("u1", "tail1", 1), ("u0", "tail2", 1)]
    )
    model = Ease(strength=1, max_items=4, near=0).fit(world)
    tail = [world.items.index("tail1"), world.items.index("tail2")]
    assert model.neighbours[tail].nnz == 0
    ranked = model.recommend(world.counts[world.users.index("u5")], k=2)[0]
    assert ranked.tolist() == tail


@pytest.mark.parametrize("dropout", [0, 0.5])
def test_one_item_of_the_tail_says_and_is_told_what_the_whole_inverse_says(dropout: float) -> None:
    random = np.random.default_rng(3)
    heard = [(f"u{user:02d}", f"i{item:02d}", 0) for user in range(60) for item in random.choice(14, 5, replace=False)]
    world = listens(heard + [(f"u{user:02d}", "tail", 0) for user in range(12)])
    together = world.counts[:, :-1].T @ world.counts[:, -1]
    assert together.toarray().all(), "what is never heard with it would take no part"
    whole = Ease(strength=2, dropout=dropout).fit(world).neighbours.toarray()
    found = Ease(strength=2, dropout=dropout, max_items=14).fit(world).neighbours.toarray()
    np.testing.assert_allclose(found[:, -1], whole[:, -1], atol=1e-5)
    np.testing.assert_allclose(found[-1], whole[-1], atol=1e-5)


def test_head_items_never_heard_with_one_of_the_tail_say_nothing_of_it() -> None:
    random = np.random.default_rng(3)
    heard = [(f"u{user:02d}", f"i{item:02d}", 0) for user in range(60) for item in random.choice(14, 5, replace=False)]
    world = listens(heard + [(f"u{user:02d}", "tail", 0) for user in (1, 5)])
    together = (world.counts[:, :-1].T @ world.counts[:, -1]).toarray().ravel() > 0
    found = Ease(strength=2, max_items=14).fit(world).neighbours.toarray()
    part = [*np.flatnonzero(together), 14]
    alone = Ease(strength=2).fit(Counted(tuple(world.items[at] for at in part), world.counts[:, part]))
    np.testing.assert_allclose(found[part, -1], alone.neighbours.toarray()[:, -1], atol=1e-5)
    assert 0 < together.sum() < 14
    assert not found[:-1, -1][~together].any()
    assert not found[-1, :-1][~together].any()


def test_a_catalogue_larger_than_the_head_is_known_through_it() -> None:
    world = planted(listeners=3000, items=2000, listens=90_000)
    split = split_at(world, cutoff_of(world))
    ndcg, coverage = {}, {}
    for name, settings in {"head": {"max_items": 300, "near": 0}, "tail": {"max_items": 300}, "whole": {}}.items():
        model = Ease(strength=20, **settings).fit(split.train)
        judged = evaluate(model.recommend(split.history, k=20), split.test, k=20, items=len(model.items))
        ndcg[name], coverage[name] = judged.ndcg, judged.coverage
    assert difference(ndcg["tail"], ndcg["head"]).lower > 0.1, "twice as good as without"
    assert ndcg["tail"].mean() > 0.8 * ndcg["whole"].mean(), "though the head holds less than a sixth of the items"
    assert coverage["head"] < 0.2 < 0.9 < coverage["tail"]


def test_ease_over_many_blocks_is_symmetric_work() -> None:
    random = np.random.default_rng(0)
    world = listens(
        (f"u{user:04d}", f"i{item:04d}", 0) for user in range(1500) for item in random.choice(1100, 20, replace=False)
    )
    model = Ease(strength=50, keep=1100).fit(world)
    history = (world.counts.toarray() > 0).astype(float)
    inverse = np.linalg.inv(history.T @ history + 50 * np.eye(len(world.items)))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(model.neighbours, expected, atol=1e-4)


@pytest.mark.parametrize("keep", [1, 5, 40, 200])
def test_the_strongest_of_sparse_rows_are_those_of_dense_ones(keep: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_ROWS", 16)
    monkeypatch.setattr(neighbours, "_DENSE_SHARE", 2.0)
    random = np.random.default_rng(0)
    rows = np.where(random.random((100, 100)) < 0.3, random.normal(size=(100, 100)), 0).astype(np.float32)
    rows[3], rows[5] = 0, random.normal(size=100)
    from_dense = strongest(lambda start, end: rows[start:end].copy(), 100, keep)
    from_sparse = strongest(lambda start, end: sparse.csr_matrix(rows[start:end]), 100, keep)
    np.testing.assert_array_equal(from_sparse.toarray(), from_dense.toarray())
    assert np.diff(from_sparse.indptr).max() == min(keep, 99)
    assert not from_sparse.diagonal().any()


@pytest.mark.parametrize(
    "model",
    [
        Ease(max_items=1000),
        Als(factors=16, epochs=1),
        ItemKnn(),
        Walk(),
        Spectral(rank=8),
        Session(),
        Popularity(),
        Content(),
        Autoencoder(hidden=16, epochs=2),
        UserKnn(),
    ],
    ids=repr,
)
def test_a_hundred_thousand_items_train_in_bounded_memory(model: Model) -> None:
    random = np.random.default_rng(0)
    size, heard = 100_000, 150_000
    world = Interactions(
        users=tuple(f"u{user}" for user in range(15_000)), items=tuple(f"i{item}" for item in range(size)),
        user=random.integers(0, 15_000, heard, dtype=np.int32), item=random.integers(0, size, heard, dtype=np.int32),
        time=random.integers(0, 30 * DAY, heard),
    )  # fmt: skip
    told = np.repeat(np.arange(size), 10), random.integers(0, 20_000, 10 * size)
    known = sparse.csr_matrix((np.ones(10 * size, np.float32), told), shape=(size, 20_000))
    world = replace(world, features=ItemFeatures(items=world.items, groups={"tag": known}, released=("",) * size))
    tracemalloc.start()
    try:
        model.fit(world).similar(0, k=5)
        assert tracemalloc.get_traced_memory()[1] < 400e6, "a dense matrix of the catalogue takes 40 GB"
    finally:
        tracemalloc.stop()


def test_bpr_looks_at_no_more_pairs_than_it_may() -> None:
    assert [Bpr(epochs=60, pairs=1000).rounds(heard) for heard in (10, 100, 5000)] == [60, 10, 1]
    world = checkerboard()
    hurried = Bpr(factors=8, pairs=world.counts.nnz).fit(world)
    np.testing.assert_array_equal(hurried.factors, Bpr(factors=8, epochs=1).fit(world).factors)


def test_popularity_counts_listeners_not_listens() -> None:
    world = listens([("a", "x", 0)] * 9 + [("a", "y", 0), ("b", "y", 0)])
    assert Popularity().fit(world).popularity.tolist() == [1, 2]


def test_popularity_with_a_half_life_prefers_what_is_heard_lately() -> None:
    world = listens([("a", "old", 0), ("b", "old", 0), ("c", "new", 28 * DAY)])
    decayed = Popularity(half_life_days=7).fit(world)
    np.testing.assert_allclose(decayed.popularity, [1, 2 * 0.5**4], rtol=1e-6)


def test_a_session_knows_what_leads_to_what_and_hears_the_last_item_loudest() -> None:
    world = listens(
        [(f"u{user}", item, user * DAY + place) for user in range(6) for place, item in enumerate("abc")]
        + [(f"v{user}", item, user * DAY + place) for user in range(6) for place, item in enumerate("xyz")]
        + [("w", "a", 0), ("w", "x", 2 * DAY)]
    )
    model = Session(recency=0.5).fit(world)
    a, b, x, y = (world.items.index(item) for item in "abxy")
    assert model.neighbours[a, b] > model.neighbours[b, a] > 0
    assert model.neighbours[a, x] == 0, "two days lie between"
    latest = world.latest_first[world.users.index("w")]
    assert latest.indices.tolist() == [x, a]
    assert model.recommend(latest, k=1)[0, 0] == y
    assert discounts(latest.sorted_indices(), 0.5).tolist() == [1, 1], "sorted by column: nobody kept the order"
    assert discounts(latest, 0.5).tolist() == [1, 0.5]


def test_sessions_need_times() -> None:
    with pytest.raises(ConfigurationError, match="session: these listens have no times"):
        Session().fit(Counted(("a",), sparse.csr_matrix((1, 1), dtype=np.float32)))


@pytest.mark.parametrize("items", [1, 7, 64, 500, 5000])
@pytest.mark.parametrize("k", [0, 1, 10, 60, 700])
def test_top_is_what_a_whole_sort_gives(items: int, k: int) -> None:
    draw = np.random.default_rng(items + k)
    scores = draw.integers(0, 50, (6, items)).astype(np.float32)
    scores[1] = draw.normal(size=items)
    scores[2] = -np.inf
    scores[3, draw.random(items) < 0.9] = -np.inf
    scores[4] = np.sort(scores[4])
    for row, found in zip(scores, top(scores, k), strict=True):
        wanted = [column for column in np.lexsort((np.arange(items), -row))[:k] if np.isfinite(row[column])]
        assert [column for column in found if column >= 0] == wanted


def test_top_breaks_ties_by_column_and_leaves_out_the_excluded() -> None:
    scores = np.asarray([[1.0, 2.0, 2.0, -np.inf]], dtype=np.float32)
    assert top(scores, 4).tolist() == [[1, 2, 0, -1]]


def test_a_long_history_is_answered_within_two_milliseconds() -> None:
    random = np.random.default_rng(0)
    columns = np.argsort(random.random((8000, 400)), axis=1)[:, :200] * 20
    neighbours = sparse.csr_matrix(
        (random.random(1_600_000).astype(np.float32), columns.ravel().astype(np.int32), np.arange(8001) * 200),
        shape=(8000, 8000),
    )
    model = ItemModel(
        items=tuple(f"i{item:05d}" for item in range(8000)),
        popularity=random.random(8000).astype(np.float32),
        neighbours=neighbours,
        weighting="log",
    )
    heard = random.choice(8000, 300, replace=False)
    taken = []
    for _ in range(30):
        started = time.thread_time()
        model.fold_in(heard, np.ones(300, dtype=np.float32), k=20, exclude=np.empty(0, dtype=np.int64))
        taken.append(time.thread_time() - started)
    assert sorted(taken)[15] < 0.002


def test_a_track_that_one_listener_heard_has_the_company_of_its_artist() -> None:
    """Who hears a hears b as well: the tracks of b, the known one first, follow a track of a that only one heard."""
    heard = [(f"u{user}", item, user) for user in range(9) for item in ("a1", "b1")]
    others = [(f"v{user}", "c1", user) for user in range(9)]
    world = listens([*heard, ("u0", "a2", 10), ("u1", "b2", 10), *others, ("v0", "b2", 9)])
    known = features((item, "artist", item[0], 1) for item in world.items)
    fitted = ArtistGraph(shrink=1).fit(replace(world, features=known))
    near = [fitted.items[column] for column, _ in fitted.similar(fitted.column["a2"], k=4)]
    assert near[:3] == ["a1", "b1", "b2"]
    blind = ArtistGraph(shrink=1).fit(world)
    assert "b1" in [blind.items[column] for column, _ in blind.similar(blind.column["a1"], k=1)], "each stands alone"
