"""What a broken day makes of a model is refused with its reason; an ordinary day's model and no other passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from music_assets.recommender import bundle, releases
from music_assets.recommender.interactions import Interactions
from music_assets.recommender.metrics import evaluate
from music_assets.recommender.names import EASE
from music_assets.recommender.recipes import recipe
from music_assets.recommender.split import cutoff_of, split_at
from music_assets.recommender.training import Outcome, Workshop
from tests.recommender.test_training import a_day
from tests.recommender.worlds import DAY, START, listens, shuffled, tastes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def chosen(world: Interactions, keep: NDArray[np.bool_]) -> Interactions:
    return Interactions(
        users=world.users, items=world.items, user=world.user[keep], item=world.item[keep], time=world.time[keep]
    )


def together(*worlds: Interactions) -> Interactions:
    return listens(
        (world.users[user], world.items[item], int(time) - START)
        for world in worlds
        for user, item, time in zip(world.user, world.item, world.time, strict=True)
    )


def halved(world: Interactions) -> Interactions:
    """Every other listen is gone, as after a load that broke."""
    return chosen(world, np.random.default_rng(3).random(len(world)) < 0.5)


def half_the_listeners(world: Interactions) -> Interactions:
    return chosen(world, world.user % 2 == 0)


def shuffled_past(world: Interactions) -> Interactions:
    """What was learned from is shuffled, what it is judged by is not."""
    past = world.time < cutoff_of(world)
    return together(shuffled(chosen(world, past)), chosen(world, ~past))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A root in which yesterday's model serves."""
    root = tmp_path_factory.mktemp("models")
    return root, a_day(root, tastes().before(START + 99 * DAY))


@pytest.mark.parametrize(
    ("sabotage", "why"),
    [
        (halved, "listens before"),
        (half_the_listeners, "are left; if that is right"),
        (shuffled_past, "popularity"),
    ],
)
def test_a_sabotaged_challenger_is_refused(served: tuple[Path, Outcome], sabotage, why: str) -> None:  # type: ignore[no-untyped-def]
    root, first = served
    outcome = a_day(root, sabotage(tastes()))
    assert not outcome.verdict.released
    assert why in outcome.verdict.reason
    assert outcome.version == first.version == bundle.champion(root)
    assert any(not limit.holds for limit in Workshop(root).outcome().verdict.limits) or why == "popularity"


def test_listens_that_are_rightly_gone_are_accepted_by_a_word(served: tuple[Path, Outcome]) -> None:
    root, _ = served
    world = tastes()
    refused = a_day(root, chosen(world, world.user % 6 != 0)).verdict
    assert [limit.name for limit in refused.limits if not limit.holds] == ["listens the champion learned from"]
    accepted = Workshop(root).release({}, accept_fewer_listens=True).verdict
    assert accepted.released, accepted.reason


def test_an_ordinary_retrain_keeps_every_limit(served: tuple[Path, Outcome]) -> None:
    root, _ = served
    outcome = a_day(root, tastes())
    assert outcome.verdict.released, outcome.verdict.reason
    names = {limit.name for limit in outcome.verdict.limits}
    assert all(limit.holds for limit in outcome.verdict.limits)
    assert {"coverage@10", "fold-in p99 in seconds", "listens the champion learned from", "rolled back before"} < {
        *names
    }
    assert any(name.startswith("NDCG of heavy listeners") for name in names)


def test_a_bundle_that_is_not_as_written_is_no_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = a_day(tmp_path, tastes().before(START + 95 * DAY))
    write = bundle.write

    def spoilt(root: Path, contents: bundle.Contents) -> str:
        version = write(root, contents)
        (root / version / "model.npz").write_bytes(b"spoilt")
        return version

    monkeypatch.setattr(bundle, "write", spoilt)
    outcome = a_day(tmp_path, tastes())
    assert not outcome.verdict.released
    assert "its model.npz is not what was written" in outcome.verdict.reason
    assert bundle.champion(tmp_path) == first.version


def test_what_was_rolled_back_does_not_come_back_by_itself(tmp_path: Path) -> None:
    first = a_day(tmp_path, tastes().before(START + 95 * DAY))
    second = a_day(tmp_path, tastes())
    assert releases.roll_back(tmp_path).after == first.version
    again = a_day(tmp_path, tastes())
    assert not again.verdict.released
    assert f"it is {second.version} again, which was rolled back at" in again.verdict.reason
    assert releases.follow(tmp_path).after == first.version
    fresher = a_day(tmp_path, together(tastes(), listens([("u000", "track:00", 100 * DAY)])))
    assert fresher.verdict.released, fresher.verdict.reason


FUTURE = 50 * DAY


def past_and_planted() -> tuple[Interactions, Interactions]:
    """Random listens and a key item of a listener's group; after them each group discovers items of its own."""
    random = np.random.default_rng(4)
    past, planted = [], []
    for number in range(200):
        name, heard = f"u{number:03d}", random.choice(60, 8, replace=False)
        past += [(name, f"track:{item:02d}", int(random.integers(0, FUTURE))) for item in heard]
        past.append((name, f"track:key{number % 5}", int(random.integers(0, FUTURE))))
        fresh = random.permutation([item for item in range(number % 5, 60, 5) if item not in heard])[:6]
        planted += [(name, f"track:{item:02d}", FUTURE + int(random.integers(0, 10 * DAY))) for item in fresh]
    return listens(past), listens(planted)


def test_a_signal_of_the_future_gives_no_gain() -> None:
    past, planted = past_and_planted()
    world = together(past, planted)
    split = split_at(world, START + FUTURE)
    model = recipe(EASE).tuned(split.train)
    honest, before = model.fit(split.train), model.fit(past)
    assert model == recipe(EASE).tuned(past), "the settings know the future"
    assert honest.items == before.items
    assert (honest.neighbours != before.neighbours).nnz == 0
    assert honest.popularity.tolist() == before.popularity.tolist()
    told = model.fit(world).aligned(honest.items)
    score = []
    for judge in (honest, told):
        ranked = judge.recommend(split.history, k=10)
        score.append(float(evaluate(ranked, split.test, k=10, items=len(honest.items)).ndcg.mean()))
    # Six items of the 56 that a listener had not heard: a list by chance has 0.15.
    assert score[0] < 0.2, score
    assert score[1] > 0.5, f"the signal is there for who was told: {score}"
