"""A large catalogue's index: exact scores, the gate that judges it, and its way through a bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender import bundle, indexing
from music_assets.recommender.bundle import Contents
from music_assets.recommender.index import EFFORTS, Index, K
from music_assets.recommender.indexing import indexed
from music_assets.recommender.manifest import MANIFEST
from music_assets.recommender.models.factors import FactorModel
from music_assets.recommender.models.neighbours import ItemModel
from music_assets.recommender.quick import FirstStage, Heard
from music_assets.recommender.retrieval import NOTHING, Whole
from streaming.errors import IntegrityError
from tests.recommender.test_bundle import _resealed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ITEMS, NUMBERS, LISTENERS = 30_000, 32, 60


def clustered() -> NDArray[np.float32]:
    """Vectors around a hundred tastes, of many lengths."""
    draw = np.random.default_rng(4)
    tastes = draw.normal(size=(100, NUMBERS))[draw.integers(0, 100, ITEMS)]
    vectors = (tastes + draw.normal(size=(ITEMS, NUMBERS))) * draw.gamma(4, 0.25, size=(ITEMS, 1))
    return np.asarray(vectors / NUMBERS, dtype=np.float32)


@pytest.fixture(scope="module")
def model() -> FactorModel:
    return FactorModel(
        items=tuple(f"i{item:05d}" for item in range(ITEMS)),
        popularity=np.random.default_rng(5).integers(0, 500, ITEMS).astype(np.float32),
        factors=clustered(), weighting="binary", unheard=0.01, ridge=0.1, exponent=1.0, catalogue=ITEMS, mean_weight=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def histories() -> Any:
    """Ten items each; one listener heard nothing."""
    draw = np.random.default_rng(6)
    rows = np.repeat(np.arange(1, LISTENERS), 10)
    items = np.concatenate([draw.choice(ITEMS, 10, replace=False) for _ in range(1, LISTENERS)])
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, items)), shape=(LISTENERS, ITEMS))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue of these tests counts as a large one."""
    monkeypatch.setattr(indexing, "EXACT_ITEMS", ITEMS - 1)


def shuffled(vectors: NDArray[np.float32]) -> Index:
    """An index that takes each item for another."""
    return Index.of(np.random.default_rng(7).permutation(vectors))


def contents(model: Any, histories: Any) -> Contents:
    served, retrieval = indexed(model, histories)
    return Contents(
        model=served, holdout=model, recipe="ials", settings={}, metrics={}, cutoff=1, data_until=2,
        retrieval={name: {"told": found.told, "recall": found.recall} for name, found in retrieval.items()},
    )  # fmt: skip


def test_up_to_the_limit_every_vector_is_read(model: FactorModel, histories: Any) -> None:
    served, found = indexed(model, histories)
    assert served is model
    assert (found["ials"].told, found["ials"].recall) == ("exact: 30,000 items", 1.0)


@pytest.mark.usefixtures("large")
def test_beyond_it_an_index_finds_the_best(model: FactorModel, histories: Any) -> None:
    served, found = indexed(model, histories)
    assert isinstance(served, FactorModel)
    assert served.index is not None
    assert found["ials"].recall >= 0.99
    assert found["ials"].told.startswith("an index, a part of ")
    assert indexed(model, histories)[1] == found, "the same again"


@pytest.mark.usefixtures("large")
def test_an_index_that_misses_too_much_is_not_used_and_that_is_told(model: FactorModel, histories: Any) -> None:
    served, found = indexed(model, histories, build=shuffled)
    assert isinstance(served, FactorModel)
    assert served.index is None
    assert found["ials"].told.startswith("exact, 30,000 items: an index found 0.")
    assert found["ials"].told.endswith(f"of the best {K}, surely 0.99 is needed")


@pytest.mark.usefixtures("large")
def test_an_index_that_nobody_can_judge_is_not_used(model: FactorModel) -> None:
    served, _ = indexed(model, sparse.csr_matrix((3, ITEMS), dtype=np.float32))
    assert isinstance(served, FactorModel)
    assert served.index is None


@pytest.mark.usefixtures("large")
def test_an_index_looks_harder_until_enough_is_found(model: FactorModel, histories: Any) -> None:
    noise = np.random.default_rng(8).normal(scale=0.2 / NUMBERS, size=(ITEMS, NUMBERS))
    served, found = indexed(model, histories, build=lambda vectors: Index.of((vectors + noise).astype(np.float32)))
    assert isinstance(served, FactorModel)
    assert served.index is not None
    assert served.index.effort in EFFORTS[1:]
    assert found["ials"].recall >= 0.99


@pytest.mark.parametrize("without", [0, 1, 30, 5000])
def test_scores_are_exact_and_nothing_unwanted_is_among_them(model: FactorModel, without: int) -> None:
    index = Index.of(model.factors, EFFORTS[3])
    draw = np.random.default_rng(9)
    query = model.factors[draw.choice(ITEMS, 5)].sum(axis=0)
    unwanted = np.argsort(-(model.factors @ query))[:without]
    best = index.best(model.factors, query, model.prior, 60, unwanted)
    exact = Whole.exact(model.prior + model.factors @ query).best(60, unwanted)
    assert len(best) == 60
    assert not np.isin(best, unwanted).any()
    shared = np.isin(best, exact)
    assert shared.mean() > 0.9
    assert best[shared].tolist() == exact[np.isin(exact, best)].tolist(), "in the same order"


def test_who_heard_nothing_gets_what_is_popular(model: FactorModel) -> None:
    served = replace(model, index=Index.of(model.factors))
    answers = served.fold_in(NOTHING, np.empty(0, np.float32), k=5, exclude=served.by_popularity[:2])
    assert [column for column, _, _ in answers] == served.by_popularity[2:7].tolist()


@pytest.mark.usefixtures("large")
def test_both_ways_of_answering_are_those_without_an_index(model: FactorModel, histories: Any) -> None:
    served, _ = indexed(model, histories)
    assert isinstance(served, FactorModel)
    near = ItemModel(
        items=model.items, popularity=model.popularity, neighbours=sparse.csr_matrix((ITEMS, ITEMS), dtype=np.float32),
        weighting="binary",
    )  # fmt: skip
    for row in (1, 2, 3):
        heard = Heard(histories[row].indices.astype(np.int64), histories[row].data)
        ours, its = (each.fold_in(heard.columns, heard.counts, k=20, exclude=NOTHING) for each in (served, model))
        np.testing.assert_allclose([score for _, score, _ in ours], [score for _, score, _ in its], rtol=1e-4)
        quick, plain = (FirstStage.of((near, each), per_model=40).propose(heard) for each in (served, model))
        assert np.isin(quick[0], plain[0]).mean() > 0.95
        shared = np.isin(plain[0], quick[0])
        scores = np.isin(quick[0], plain[0])
        np.testing.assert_allclose(quick[1][2, scores], plain[1][2, shared], rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("large")
def test_a_bundle_keeps_its_index_and_what_was_measured(tmp_path: Path, model: FactorModel, histories: Any) -> None:
    written = contents(model, histories)
    loaded = bundle.load(tmp_path, bundle.write(tmp_path, written)).contents
    assert isinstance(written.model, FactorModel)
    assert isinstance(loaded.model, FactorModel)
    assert written.model.index is not None
    assert loaded.model.index is not None
    assert loaded.model.index.effort == written.model.index.effort
    np.testing.assert_array_equal(loaded.model.index.raw(), written.model.index.raw())
    np.testing.assert_array_equal(Index.of(model.factors).raw(), written.model.index.raw(), "built anew, the same")
    assert loaded.retrieval == written.retrieval
    assert isinstance(loaded.holdout, FactorModel)
    assert loaded.holdout.index is None
    assert loaded.model.aligned(model.items[:50]).state().words == model.state().words


def respelt(folder: Path, raw: NDArray[np.uint8]) -> None:
    """Put another index into a bundle and seal that as if it had been written so."""
    from music_assets.recommender.manifest import _digest

    with np.load(folder / "model.npz", allow_pickle=False) as arrays:
        kept = dict(arrays)
    np.savez(folder / "model.npz", allow_pickle=False, **{**kept, "index": raw})
    names = [path.name for path in folder.iterdir() if path.name != MANIFEST]
    _resealed(folder / MANIFEST, files={name: _digest(folder / name) for name in names})


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("damage", ["torn", "other items", "other numbers", "shuffled"])
def test_a_wrong_index_is_refused_and_the_old_bundle_serves_on(
    tmp_path: Path, model: FactorModel, histories: Any, damage: str
) -> None:
    good, bad = (bundle.write(tmp_path, contents(model, histories)) for _ in range(2))
    bundle.promote(tmp_path, good)
    wrong = {
        "torn": lambda: Index.of(model.factors).raw()[:1000],
        "other items": lambda: Index.of(model.factors[:-1]).raw(),
        "other numbers": lambda: Index.of(model.factors[:, :16]).raw(),
        "shuffled": lambda: shuffled(model.factors).raw(),
    }
    respelt(tmp_path / bad, wrong[damage]())
    for switch in (bundle.promote, bundle.release):
        with pytest.raises(IntegrityError, match="known answers" if damage == "shuffled" else "index of the factors"):
            switch(tmp_path, bad)
    assert bundle.champion(tmp_path) == good
