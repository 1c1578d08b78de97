"""What stood high is not taken for better: in planted answers whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from music_assets.recommender.examples import Examples
from music_assets.recommender.forest import Forest
from music_assets.recommender.places import weighed
from music_assets.recommender.shown import Shown
from music_assets.recommender.trees import grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_assets.recommender.trees import Trees

K = 10
NAMES = [f"{model}{number}_score" for model in ("taste", "old") for number in range(3)]


@dataclass(frozen=True)
class World:
    """Lists of ten, ordered by an old model that knows nothing of tastes.

    Attributes:
        examples: with two features, a hint of the taste and the old model's score; label: played.
        place: where each stood, from 1.
        relevance: probability that it is played where place does not matter, shape (lists, ten).
    """

    examples: Examples
    place: NDArray[np.int32]
    relevance: NDArray[np.float64]

    @classmethod
    def of(cls, lists: int, *, seed: int, ordered: bool) -> World:
        """Play each item with its relevance, in an ordered list divided by its place."""
        random = np.random.default_rng(seed)
        taste, old = random.normal(size=(2, lists, K))
        relevance = 0.25 / (1 + np.exp(-1.5 * taste))
        place = (-(old + 0.7 * random.normal(size=(lists, K)))).argsort(axis=1).argsort(axis=1) + 1
        played = random.random((lists, K)) < relevance / (place if ordered else 1)
        hints = [truth + 0.7 * random.normal(size=(lists, K)) for truth in (taste, taste, taste, old, old, old)]
        whole = cls(
            Examples(
                features=np.stack(hints, axis=2).reshape(-1, len(NAMES)).astype(np.float32),
                label=played.ravel().astype(np.int8),
                group=np.full(lists, K),
                relevant=played.sum(axis=1),
            ),
            place.ravel().astype(np.int32),
            relevance,
        )
        return whole.played() if ordered else whole

    def played(self) -> World:
        """Return the lists of which something was played."""
        some = self.examples.relevant > 0
        return World(self.examples.of(some), self.place[np.repeat(some, K)], self.relevance[some])

    def shown(self) -> Shown:
        lists = len(self.examples.group)
        return Shown(examples=self.examples, place=self.place, worth=np.zeros(lists * K), listener=np.full(lists, -1))

    def ndcg(self, trees: Trees) -> float:
        """NDCG of the trees' order against the planted relevance."""
        scores = Forest.read(trees.text).rate(self.examples.features.T).reshape(-1, K)
        discount = 1 / np.log2(np.arange(2, K + 2))
        best = (np.sort(self.relevance)[:, ::-1] * discount).sum(axis=1)
        found = np.take_along_axis(self.relevance, np.argsort(-scores, axis=1), axis=1)
        return float(((found * discount).sum(axis=1) / best).mean())


@pytest.fixture(scope="module")
def logged() -> Shown:
    return World.of(6000, seed=2, ordered=True).shown()


@pytest.fixture(scope="module")
def unasked() -> Examples:
    """What was heard where nothing was shown: so little that it teaches hardly anything."""
    return World.of(300, seed=1, ordered=False).examples


def test_the_worth_of_places_is_learnt(logged: Shown) -> None:
    _, odds = weighed(logged)
    assert list(odds) == list(range(1, K + 1))
    assert odds[1] == 1
    for place, worth in odds.items():
        assert 0.6 / place < worth < 1.5 / place or place == 1


def test_trees_that_know_the_place_come_nearer_to_what_is_liked(logged: Shown, unasked: Examples) -> None:
    truth = World.of(2000, seed=3, ordered=False)
    placed, _ = weighed(logged)
    unbiased, blind = (truth.ndcg(grow(unasked, NAMES, k=K, shown=each)) for each in (placed, logged))
    assert unbiased > blind + 0.02, "who does not know the place prefers what the old model showed first"
    assert unbiased > truth.ndcg(grow(unasked, NAMES, k=K)) + 0.003, "what was shown teaches something"


def test_the_answers_of_listeners_set_apart_do_not_pick_the_trees(logged: Shown) -> None:
    lists = len(logged.examples.group)
    theirs = replace(logged, listener=np.arange(lists) % 5 - 1)
    apart = np.asarray([True, False, False, True])
    left = theirs.without(apart)
    assert set(left.listener.tolist()) == {-1, 1, 2}
    assert len(left.place) == left.examples.group.sum() == len(left.examples.label)
    taken: Any = theirs.numbered(np.asarray([True, False, True, False]))
    assert [set(taken.listener[theirs.listener == each].tolist()) for each in range(-1, 4)] == [
        {-1}, {0}, {-1}, {1}, {-1},
    ]  # fmt: skip
