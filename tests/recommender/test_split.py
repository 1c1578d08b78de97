"""The split by time: nothing of the future reaches the past."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from music_assets.recommender.interactions import Interactions
from music_assets.recommender.metrics import evaluate
from music_assets.recommender.models.ease import Ease
from music_assets.recommender.split import cutoff_of, split_at
from tests.recommender.worlds import START, listens, tastes

WORLD = [
    ("a", "x", 0),
    ("a", "y", 10),
    ("a", "x", 90),  # heard before: no test item
    ("a", "z", 91),
    ("a", "new", 92),  # nobody heard it before
    ("b", "x", 20),
    ("b", "x", 95),  # nothing new: cannot be judged
    ("c", "x", 96),  # no history: cannot be judged
    ("d", "z", 30),
    ("d", "z", 79),
    ("d", "y", 100),
]


def test_the_cutoff_is_where_the_last_fifth_of_the_time_begins() -> None:
    assert cutoff_of(listens(WORLD)) == START + 80


def test_one_stray_listen_of_long_ago_does_not_move_the_cutoff() -> None:
    rows = [("a", f"i{place}", place) for place in range(10_000)]
    moved = cutoff_of(listens([*rows, ("a", "i", -START)]))
    assert abs(moved - START - 8000) < 20


def test_test_items_are_those_first_heard_after_the_cutoff() -> None:
    split = split_at(listens(WORLD), START + 80)
    assert split.train.items == ("x", "y", "z")
    assert split.train.users == ("a", "b", "d")
    assert split.history.toarray().tolist() == [[1, 1, 0], [0, 0, 2]]
    first, second = split.test.toarray()
    assert first[:3].tolist() == [0, 0, 1]
    assert first.sum() == 2, "the item nobody knew counts, as a miss"
    assert second.tolist() == [0, 1, 0, *[0] * (len(second) - 3)]
    assert split.left_out == 2
    assert split.leak() is None


def test_a_leak_is_seen() -> None:
    world = listens(WORLD)
    split = split_at(world, START + 80)
    assert "after the cut-off" in str(replace(split, train=world).leak())
    assert "heard before" in str(replace(split, test=split.history).leak())


def test_a_signal_of_the_future_gives_no_gain() -> None:
    world = tastes()
    cutoff = cutoff_of(world)
    future = np.arange(len(world.users), dtype=np.int32)
    told = Interactions(
        users=world.users,
        items=world.items,
        user=np.concatenate([world.user, future, future]),
        item=np.concatenate([world.item, np.zeros_like(future), np.ones_like(future)]),
        time=np.concatenate([world.time, np.full(2 * len(future), world.time.max())]),
    )
    plain, planted = split_at(world, cutoff), split_at(told, cutoff)
    ours, theirs = Ease().fit(plain.train), Ease().fit(planted.train)
    assert ours.items == theirs.items
    assert (ours.neighbours != theirs.neighbours).nnz == 0
    np.testing.assert_array_equal(ours.popularity, theirs.popularity)
    judged = [
        evaluate(model.recommend(plain.history, k=10), plain.test, k=10, items=len(model.items))
        for model in (ours, theirs)
    ]
    assert judged[0].means() == judged[1].means()
    assert planted.test.nnz > plain.test.nnz, "the signal was there to be used"


def test_fewer_listeners_judge_and_always_the_same_ones() -> None:
    world = tastes(listeners=60)
    split = split_at(world, cutoff_of(world))
    fewer, again = (split_at(world, split.cutoff, most=10) for _ in range(2))
    assert fewer.listeners == fewer.test.shape[0] == 10
    np.testing.assert_array_equal(fewer.history.toarray(), again.history.toarray())
    both = np.hstack([split.history.toarray(), split.test.toarray()])
    for row in np.hstack([fewer.history.toarray(), fewer.test.toarray()]):
        assert (both == row).all(axis=1).any(), "history and test belong to the same listener"
    assert fewer.left_out == split.left_out, "who was not drawn could have judged"
    assert split_at(world, split.cutoff, most=100).listeners == split.listeners
