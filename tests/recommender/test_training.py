"""From listens to a released bundle: what serves after an ordinary day, a bad day and with hardly anybody there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from music_assets.recommender import bundle
from music_assets.recommender.metrics import Interval
from music_assets.recommender.names import EASE, FIRST_STAGE, POPULARITY, TWO_STAGE
from music_assets.recommender.recipes import recipe
from music_assets.recommender.training import NEEDED, Outcome, Workshop
from streaming.errors import ConfigurationError, UnavailableError
from tests.recommender.worlds import DAY, START, listens, shuffled, tastes

if TYPE_CHECKING:
    from pathlib import Path

    from music_assets.recommender.interactions import Interactions


def a_day(root: Path, world: Interactions) -> Outcome:
    """Everything from listens to the moved pointer."""
    workshop = Workshop(root)
    workshop.prepare(world)
    for name in NEEDED:
        workshop.train(name)
    outcome = workshop.release({})
    bundle.promote(root, outcome.version)
    return outcome


def test_a_good_model_is_released_and_refitted_on_everything(tmp_path: Path) -> None:
    world = tastes()
    outcome = a_day(tmp_path, world)
    assert outcome.verdict.released, outcome.verdict.reason
    served = bundle.load(tmp_path, outcome.version)
    assert served.contents.recipe == EASE
    assert served.contents.data_until == world.time.max()
    assert served.contents.model.popularity.sum() > served.contents.holdout.popularity.sum()
    assert served.contents.metrics["ndcg@10"] == outcome.verdict.metrics["ndcg@10"]
    heard = {"track:00": 1.0, "track:03": 1.0}
    assert all(int(scored.item_id[6:]) % 3 == 0 for scored in served.recommend(heard, k=10))


def test_the_leaderboard_ranks_all_on_the_same_listeners(tmp_path: Path) -> None:
    a_day(tmp_path, tastes())
    workshop = Workshop(tmp_path)
    workshop.train(EASE)
    rows = workshop.leaderboard()
    assert {row.model for row in rows} == {EASE, POPULARITY, f"champion ({bundle.champion(tmp_path)})"}
    scores = [row.metrics["ndcg@10"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert rows[-1].model == POPULARITY
    assert rows[-1].over_popularity.mean == 0
    assert rows[0].over_popularity.lower > 0


def test_an_ordinary_retrain_passes(tmp_path: Path) -> None:
    world = tastes()
    first = a_day(tmp_path, world.before(START + 95 * DAY))
    second = a_day(tmp_path, world)
    assert second.verdict.released, second.verdict.reason
    assert second.version != first.version
    assert bundle.pointer(tmp_path, "previous") == first.version


@pytest.mark.parametrize("sabotage", [shuffled, lambda world: shuffled(world).before(START + 99 * DAY)])
def test_shuffled_items_are_refused_and_the_champion_stays(tmp_path: Path, sabotage) -> None:  # type: ignore[no-untyped-def]
    world = tastes()
    first = a_day(tmp_path, world)
    second = a_day(tmp_path, sabotage(world))
    assert not second.verdict.released
    assert "popularity" in second.verdict.reason or "predecessor" in second.verdict.reason
    assert second.version == first.version == bundle.champion(tmp_path)
    assert Workshop(tmp_path).outcome().verdict.reason == second.verdict.reason


def test_a_shuffled_world_without_a_champion_is_served_by_popularity(tmp_path: Path) -> None:
    outcome = a_day(tmp_path, shuffled(tastes()))
    assert not outcome.verdict.released
    assert bundle.load(tmp_path, outcome.version).contents.recipe == POPULARITY


def test_seven_stations_are_refused_and_popularity_serves_and_stays_fresh(tmp_path: Path) -> None:
    world = tastes(listeners=7)
    first = a_day(tmp_path, world.before(START + 90 * DAY))
    assert not first.verdict.released
    assert "7 listeners can judge it, 30 are needed" in first.verdict.reason
    assert bundle.load(tmp_path, first.version).contents.recipe == POPULARITY
    second = a_day(tmp_path, world)
    assert second.version != first.version
    assert bundle.load(tmp_path, second.version).contents.data_until == world.time.max()


def test_a_model_follows_popularity_once_enough_listeners_are_there(tmp_path: Path) -> None:
    world = tastes()
    few = listens(
        (world.users[user], world.items[item], int(time) - START)
        for user, item, time in zip(world.user, world.item, world.time, strict=True)
        if user < 7
    )
    assert not a_day(tmp_path, few).verdict.released
    assert a_day(tmp_path, world).verdict.released


def test_the_cutoff_never_moves_back(tmp_path: Path) -> None:
    world = tastes()
    a_day(tmp_path, world)
    known = Workshop(tmp_path).split().cutoff
    old = listens([("u000", "track:00", -9000 * DAY + hour) for hour in range(100)])
    imported = listens(
        (source.users[user], source.items[item], int(time) - START)
        for source in (world, old)
        for user, item, time in zip(source.user, source.item, source.time, strict=True)
    )
    assert Workshop(tmp_path).prepare(imported).cutoff == known


def test_a_broken_champion_does_not_stop_its_successor(tmp_path: Path) -> None:
    first = a_day(tmp_path, tastes())
    (tmp_path / first.version / "model.npz").write_bytes(b"")
    second = a_day(tmp_path, tastes())
    assert second.verdict.released
    assert bundle.champion(tmp_path) == second.version != first.version


def test_a_rollback_between_training_and_gate_changes_the_opponent(tmp_path: Path) -> None:
    world = tastes()
    first = a_day(tmp_path, world.before(START + 95 * DAY))
    second = a_day(tmp_path, world)
    workshop = Workshop(tmp_path)
    bundle.promote(tmp_path, first.version)
    third = workshop.release({})
    assert third.verdict.over_champion == second.verdict.over_champion != Interval(0, 0, 0)
    assert {row.model for row in workshop.leaderboard()} == {EASE, POPULARITY, f"champion ({first.version})"}


def test_candidates_of_different_listens_are_not_compared(tmp_path: Path) -> None:
    a_day(tmp_path, tastes())
    Workshop(tmp_path).prepare(tastes(seed=5))
    Workshop(tmp_path).train(EASE)
    with pytest.raises(UnavailableError, match="different listens"):
        Workshop(tmp_path).leaderboard()


def test_each_missing_step_names_itself(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no listens"):
        Workshop(tmp_path).prepare(tastes().before(0))
    with pytest.raises(UnavailableError, match="recommender/interactions first"):
        Workshop(tmp_path).train(EASE)
    Workshop(tmp_path).prepare(tastes())
    with pytest.raises(UnavailableError, match="candidates_popularity first"):
        Workshop(tmp_path).leaderboard()
    with pytest.raises(ConfigurationError, match="valid: popularity, ease"):
        recipe("deep")


def test_settings_are_picked_on_the_training_part_alone() -> None:
    world = tastes()
    picked = recipe(EASE).tuned(world)
    assert recipe(EASE).tuned(world) == picked
    assert recipe(EASE).tuned(tastes(listeners=5)) == recipe(EASE).first, "too few listeners: the default"


def test_the_second_stage_asks_to_serve_where_it_can_be_grown(tmp_path: Path) -> None:
    world = tastes(listeners=600)
    workshop = Workshop(tmp_path)
    workshop.prepare(world)
    for name in (POPULARITY, *FIRST_STAGE):
        workshop.train(name)
    ranked = workshop.rank()
    assert not isinstance(ranked, str), ranked
    parts = workshop.ablation()
    assert parts.gain is not None
    assert {share.model for share in parts.shares} == {POPULARITY, *FIRST_STAGE}
    assert parts.union >= max(share.without for share in parts.shares if share.without is not None) - 0.05
    assert "ranker over" in parts.as_table()
    outcome = workshop.release({})
    assert {row.model for row in workshop.leaderboard()} == {POPULARITY, *FIRST_STAGE, TWO_STAGE}
    assert outcome.verdict.reason.startswith("two_stage is "), outcome.verdict.reason
    served = bundle.load(tmp_path, outcome.version).contents
    assert served.recipe == (TWO_STAGE if outcome.verdict.released else POPULARITY)
    if outcome.verdict.released:
        assert served.model.popularity.sum() > served.holdout.popularity.sum(), "refitted on everything"


def test_too_little_to_grow_on_leaves_the_first_stage_to_ask(tmp_path: Path) -> None:
    a_day(tmp_path, tastes(listeners=40))
    ranked = Workshop(tmp_path).rank()
    assert isinstance(ranked, str)
    assert "are needed" in ranked
    assert Workshop(tmp_path).release({}).verdict.reason.startswith("ease is ")
