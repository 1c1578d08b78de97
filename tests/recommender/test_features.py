"""Histories in the online store, on a real Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from music_assets.recommender import features
from tests.recommender.worlds import listens, tastes

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def test_a_history_survives_the_way_through_the_store(store: redis.Redis) -> None:
    history = {"track:ä\n": 3.0, "artist:1": 1.5}
    store.set(features.key("someone"), features.encode(history))
    assert features.decode(store.get(features.key("someone"))) == history
    assert features.decode(store.get(features.key("nobody"))) == {}


def test_histories_hold_counts_the_latest_first_up_to_a_bound() -> None:
    world = listens([("a", "x", 1), ("a", "y", 2), ("a", "x", 3), ("a", "z", 0), ("b", "z", 9)])
    written = dict(features.histories(world, max_items=2))
    assert written == {"a": {"x": 2.0, "y": 1.0}, "b": {"z": 1.0}}
    assert list(written["a"]) == ["x", "y"]


def test_every_listener_is_written_and_the_vanished_are_removed(store: redis.Redis) -> None:
    world = tastes(listeners=40)
    store.set("other:key", "stays")
    store.set(features.key("gone"), features.encode({"x": 1.0}))
    assert features.write_histories(store, world) == (40, 1)
    for listener, history in features.histories(world):
        assert features.decode(store.get(features.key(listener))) == history
    assert features.write_histories(store, world.before(0)) == (0, 40)
    assert store.keys("*") == [b"other:key"]
