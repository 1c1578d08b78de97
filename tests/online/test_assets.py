"""The features as an asset: a run takes in what waits, waits for the service, and says when neither is there."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from music_assets.defs.online import assets, checks
from music_assets.resources import PlatformResource
from music_assets.settings import Settings
from streaming import online
from tests.streaming.listeners import Listeners, events
from tests.streaming.test_features_job import world

__all__ = ["world"]


class Parts(PlatformResource):
    """The parts of one test."""

    values: dict[str, Any]

    def settings(self) -> Settings:
        return Settings(_env_file=None, **self.values)


def parts(world: Listeners) -> Parts:
    names = ("music_home", "kafka_bootstrap_servers", "redis_url", "features_port")
    return Parts(values={name: str(getattr(world.settings, name)) for name in names})


def run(world: Listeners) -> tuple[dict[str, Any], dg.AssetCheckEvaluation]:
    result = dg.materialize([assets.features, checks.features_are_fresh], resources={"platform": parts(world)})
    assert result.success
    [made] = result.asset_materializations_for_node("online__features")
    [check] = result.get_asset_check_evaluations()
    return {key: value.value for key, value in made.metadata.items()}, check


def check(world: Listeners) -> dg.AssetCheckResult:
    found = checks.features_are_fresh(parts(world))
    assert isinstance(found, dg.AssetCheckResult)
    return found


def test_without_a_service_a_run_takes_in_what_waits(world: Listeners) -> None:
    sent = events(300, seed=1)
    world.put(*sent)
    made, verdict = run(world)
    assert verdict.passed
    assert made["dagster/row_count"] == 40
    assert made["events_added"] == 300
    assert made["keys"] == 2 * 40 + 12 + 1
    assert 0 < made["memory_mb"] < 1
    world.assert_holds(sent)


def test_with_a_service_a_run_waits_until_it_is_current(world: Listeners) -> None:
    sent = events(300, seed=2)
    with world.service():
        world.put(*sent)
        made, verdict = run(world)
        assert verdict.passed
        assert made["dagster/row_count"] == 40
        world.assert_holds(sent)


def test_the_check_fails_when_events_wait_and_nobody_takes_them(
    world: Listeners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_FRESH_SECONDS", 0.2)
    assert not check(world).passed, "there is nothing in the store at all"
    run(world)
    assert check(world).passed
    world.put(*events(20, seed=3))
    found = check(world)
    assert not found.passed
    assert found.description == "22 events still wait after 0 s"
    world.redis.delete(online.EPOCH_KEY)
    assert check(world).description == "all events still wait after 0 s"


def test_who_is_away_is_named(world: Listeners) -> None:
    world.settings = world.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    result = dg.materialize([assets.features], resources={"platform": parts(world)}, raise_on_error=False)
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "Redis does not answer" in str(failure.event_specific_data)
