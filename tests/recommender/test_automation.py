"""When the recommender's assets move by themselves, tried by ticking."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from music_assets.defs.online import assets as online
from music_assets.defs.recommender import assets

BEFORE = datetime(2026, 1, 1, 3, 29, tzinfo=UTC)
TICK = datetime(2026, 1, 1, 3, 31, tzinfo=UTC)
MARTS = ("fct_listens", "dim_artist", "dim_album", "dim_track")


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(name.split("/"))


class World:
    """The graph around the recommender, with materialisations and check results as told."""

    def __init__(self) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        every = [assets.interactions, assets.candidates_popularity, assets.candidates_ease, assets.leaderboard]
        every += [assets.champion, online.bundle, online.histories]

        @dg.asset_check(asset=["recommender", "champion"], blocking=True)
        def whole() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=True)

        self.definitions = dg.Definitions(
            assets=[*[dg.AssetSpec(["marts", name]) for name in MARTS], *every],
            asset_checks=[whole],
            resources={"platform": dg.ResourceDefinition.none_resource()},
        )
        self.keys = [found.key for found in every]
        self.cursor: Any = None

    def moved(self, *names: str) -> None:
        for name in names:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key(name)))

    def checked(self, *, passed: bool) -> None:
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key("recommender/champion"), check_name="whole", passed=passed, blocking=True, metadata={}
            )
        )

    def asked_for(self, at: datetime = BEFORE) -> set[str]:
        result = dg.evaluate_automation_conditions(
            defs=self.definitions, instance=self.instance, cursor=self.cursor, evaluation_time=at
        )
        self.cursor = result.cursor
        return {found.to_user_string() for found in self.keys if result.get_num_requested(found)}


@pytest.fixture
def settled() -> World:
    """A platform where everything was made once and nothing is due."""
    world = World()
    world.moved(*[f"marts/{name}" for name in MARTS])
    world.asked_for()
    world.moved(*[found.to_user_string() for found in world.keys])
    world.checked(passed=True)
    world.asked_for()
    assert not world.asked_for()
    return world


def test_interactions_follow_the_marts_and_features_follow_them(settled: World) -> None:
    settled.moved("marts/fct_listens")
    assert settled.asked_for() >= {"recommender/interactions", "online/histories"}
    assert "recommender/candidates_ease" not in settled.asked_for(), "training waits for the night"


def test_training_starts_at_night_on_fresh_interactions(settled: World) -> None:
    assert not settled.asked_for(TICK)
    settled.moved("recommender/interactions")
    assert settled.asked_for(TICK) >= {"recommender/candidates_ease", "recommender/candidates_popularity"}


def test_new_names_are_no_reason_to_judge_again(settled: World) -> None:
    settled.moved("marts/dim_artist", "marts/dim_track")
    assert not settled.asked_for()
    settled.moved("recommender/leaderboard")
    assert "recommender/champion" in settled.asked_for()


def test_a_bundle_whose_check_failed_is_not_followed(settled: World) -> None:
    settled.moved("recommender/champion")
    settled.checked(passed=False)
    assert "online/bundle" not in settled.asked_for()


def test_a_bundle_whose_check_passed_is_followed(settled: World) -> None:
    settled.moved("recommender/champion")
    settled.checked(passed=True)
    assert "online/bundle" in settled.asked_for()
