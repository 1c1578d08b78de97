"""How soon a listener nobody knows gets sense: the curve over 0, 1, 3, 5 and 10 items heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender.interactions import Counted
from music_assets.recommender.metrics import difference, evaluate
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.stacking import stack
from tests.recommender.worlds import tastes

if TYPE_CHECKING:
    from music_assets.recommender.models.base import FittedModel

K = 10
NEW = 100
HEARD = (0, 1, 3, 5, 10)


@pytest.fixture(scope="module")
def world() -> tuple[Counted, Any]:
    """Listeners to learn from, and others whom no model has seen."""
    whole = tastes(listeners=500)
    return Counted(whole.items, whole.counts[NEW:]), whole.counts[:NEW]


def part(counts: Any, heard: int) -> tuple[Any, Any]:
    """Return the first items of each listener as the history, and the rest as what is to be found."""
    history, rest = counts.tolil(copy=True), counts.tolil(copy=True)
    for row in range(counts.shape[0]):
        items = np.random.default_rng(row).permutation(counts[row].indices)
        history[row, items[heard:]] = 0
        rest[row, items[:heard]] = 0
    return sparse.csr_matrix(history), sparse.csr_matrix(rest)


def ndcg(model: FittedModel, history: Any, rest: Any) -> Any:
    history.eliminate_zeros()
    rest.eliminate_zeros()
    return evaluate(model.recommend(history, k=K), rest, k=K, items=len(model.items)).ndcg


def test_a_new_listener_is_known_from_the_first_item_on_and_better_with_each(world: tuple[Counted, Any]) -> None:
    learnt, new = world
    model, floor = stack(learnt, k=K, seconds=3).model, Popularity().fit(learnt)
    curve = {}
    for heard in HEARD:
        history, rest = part(new, heard)
        ours, theirs = ndcg(model, history, rest), ndcg(floor, history, rest)
        curve[heard] = difference(ours, theirs)
    assert curve[0].upper > -0.02, "who is unknown gets no less than what is popular"
    assert all(curve[heard].lower > 0.2 for heard in HEARD[1:]), curve
    assert curve[5].mean > curve[1].mean - 0.05, curve


def test_what_was_just_heard_changes_the_next_answer(world: tuple[Counted, Any]) -> None:
    learnt, new = world
    model = stack(learnt, k=K, seconds=2).model
    history, _ = part(new, 3)
    before = model.recommend(history, k=K)
    for row in range(20):
        heard = before[row, 0]
        one = history[row].indices.astype(np.int64)
        after = model.fold_in(
            np.append(one, heard), np.ones(len(one) + 1, dtype=np.float32), k=K, exclude=np.empty(0, dtype=np.int64)
        )
        assert heard not in [column for column, _, _ in after]
