"""What nobody has heard reaches those whose taste it fits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from music_assets.recommender import bundle
from music_assets.recommender.models.content import Content
from music_assets.recommender.names import CONTENT, EASE, POPULARITY
from music_assets.recommender.shelf import Shelf, foreseen, stocked, unheard
from music_assets.recommender.split import split_at
from music_assets.recommender.training import Workshop
from tests.recommender.worlds import DAY, START, features, listens, tastes

if TYPE_CHECKING:
    from pathlib import Path

    from music_assets.recommender.interactions import Interactions
    from music_assets.recommender.item_features import ItemFeatures

GROUPS = 3
COLD = [f"track:new{number:02d}" for number in range(30)]
Row = tuple[str, str, str, float]


def taste_of(item: str) -> int:
    """The taste that an item is planted for: items are dealt out to the tastes in turns."""
    return int(item[-2:]) % GROUPS


def described(items: list[str], *, seed: int = 3) -> ItemFeatures:
    """Features that tell the taste, each with noise: tags of it and of any, a sound around the taste's own."""
    draw = np.random.default_rng(seed)
    rows: list[Row] = []
    for number, item in enumerate(items):
        taste = taste_of(item)
        rows += [(item, "tag", f"tag {taste} {tag}", 1.0) for tag in draw.choice(6, 2, replace=False)]
        rows += [(item, "tag", f"tag {draw.integers(GROUPS)} {draw.integers(6)}", 1.0)]
        rows += [(item, "audio", "energy", taste + draw.normal()), (item, "audio", "tempo", 90 + 30 * draw.normal())]
        rows += [(item, "words", f"Song {number}", 1.0), (item, "released", f"2024-{1 + number % 12:02d}", 1.0)]
    return features(rows)


@pytest.fixture(scope="module")
def world() -> Interactions:
    """Three tastes, and a catalogue of 60 items that were heard and 30 that nobody heard."""
    plain = tastes()
    return replace(plain, features=described([*plain.items, *COLD]))


def history_of(world: Interactions, listener: int, most: int = 12) -> dict[str, float]:
    row = world.counts[listener]
    return {world.items[item]: float(count) for item, count in list(zip(row.indices, row.data, strict=True))[:most]}


@pytest.fixture(scope="module")
def shelf(world: Interactions) -> Shelf:
    model = stocked(Content(), world)
    assert model is not None
    assert sorted(set(model.items) - set(world.items)) == COLD
    return Shelf(model, set(world.items), {"track:03": "Three"})


@pytest.mark.parametrize("heard", [1, 3, 12])
def test_what_nobody_heard_is_proposed_to_those_whose_taste_it_fits(
    world: Interactions, shelf: Shelf, heard: int
) -> None:
    right = []
    for listener in range(len(world.users)):
        found = shelf.fitting(history_of(world, listener, heard), exclude=set(), most=5)
        right += [taste_of(item) == listener % GROUPS for item in found]
    # By chance, and so by popularity, which all of them have none of, a third is right.
    assert len(right) > 4 * len(world.users)
    assert np.mean(right) > {1: 0.6, 3: 0.75, 12: 0.9}[heard]


def test_each_says_which_item_heard_it_is_like(world: Interactions, shelf: Shelf) -> None:
    [first, *_] = shelf.fitting({"track:03": 2.0}, exclude=set()).values()
    assert (first.source, first.reason) == (CONTENT, "nobody played it yet: like Three, which you played")
    assert 0.1 <= first.score <= 1.0001
    heard = history_of(world, 0)
    for scored in shelf.fitting(heard, exclude=set()).values():
        assert any(f"like {shelf._name(item)}," in scored.reason for item in heard)


def test_what_is_hidden_or_was_heard_since_is_not_proposed_and_who_heard_nothing_gets_nothing(shelf: Shelf) -> None:
    history = {"track:03": 1.0, "track:06": 1.0}
    first, second, *_ = shelf.fitting(history, exclude=set())
    assert first not in shelf.fitting(history, exclude={first})
    since = shelf.fitting({**history, second: 1.0}, exclude=set())
    assert since
    assert second not in since
    assert shelf.fitting({}, exclude=set()) == shelf.fitting({"unknown": 1.0}, exclude=set()) == {}


def test_the_newest_come_first_and_of_a_kind_that_is_heard() -> None:
    world = listens([("u", "track:1", 0), ("u", "track:2", 1)])
    rows: list[Row] = [("track:1", "tag", "x", 1), ("track:1", "released", "2020", 1)]
    for item, released in (("track:3", "2021"), ("track:4", "2023-05"), ("track:5", ""), ("album:6", "2024")):
        rows += [(item, "tag", "x", 1.0), (item, "released", released, 1.0)]
    rows += [("track:7", "tag", "x", 1.0), ("track:8", "released", "2024", 1.0), ("track:8", "words", "x", 1.0)]
    known = replace(world, features=features(rows))
    assert unheard(known) == ["track:4", "track:3", "track:5"], "7 is not in the catalogue, of 8 nothing is known"
    model = stocked(Content(), known, size=1)
    assert model is not None
    assert model.items == ("track:1", "track:2", "track:4")
    assert unheard(world) == []
    assert stocked(Content(), world) is None


def test_those_of_one_date_take_turns() -> None:
    rows = [(f"track:{number:02d}", group, "2024", 1.0) for number in range(50) for group in ("tag", "released")]
    one, other = (replace(listens([("u", "track:99", day * DAY)]), features=features(rows)) for day in (0, 1))
    assert unheard(one) == unheard(one)
    assert unheard(one) != unheard(other)
    assert set(unheard(one)) == set(unheard(other))


def test_what_was_new_after_the_cut_off_is_found_better_than_by_chance(world: Interactions) -> None:
    draw = np.random.default_rng(5)
    later = [
        (user, item, 95 * DAY + int(draw.integers(DAY)))
        for number, user in enumerate(world.users)
        for item in draw.choice([new for new in COLD if taste_of(new) == number % GROUPS], 2, replace=False)
    ]
    heard = [
        (world.users[user], world.items[item], int(time) - START)
        for user, item, time in zip(world.user, world.item, world.time, strict=True)
    ]
    both = replace(listens([*heard, *later]), features=world.features)
    found = foreseen(Content(), split_at(both, START + 90 * DAY), both)
    assert found.listeners > 100
    assert found.items == len(COLD)
    assert found.chance == pytest.approx(10 / 30)
    assert found.recall > 2 * found.chance
    blind = foreseen(Content(), split_at(replace(both, features=None), START + 90 * DAY), both)
    assert (blind.listeners, blind.recall) == (0, 0)


def test_a_day_brings_the_shelf_into_the_bundle_and_changes_no_place_that_the_model_fills(
    world: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("music_assets.recommender.recipes._TRIALS", 2)
    assert world.features is not None
    workshop = Workshop(tmp_path)
    workshop.prepare(world)
    workshop.train(POPULARITY)
    workshop.train(EASE)
    before = bundle.load(tmp_path, workshop.release({}).version)
    workshop.describe(world.features)
    workshop.train(CONTENT)
    after = bundle.load(tmp_path, workshop.release({"track:new03": "New Three"}).version)
    assert (before.shelf, before.similar("track:new03", k=5)) == (None, [])
    assert after.shelf is not None
    for listener in range(20):
        history = history_of(world, listener)
        assert after.shelf.fitting(history, exclude=set())
        assert after.recommend(history, k=10) == before.recommend(history, k=10)
    [first, *_] = after.similar("track:new03", k=5)
    assert (first.source, first.reason) == (CONTENT, "like New Three")
