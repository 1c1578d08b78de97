"""Weeks of the past, judged on what came before them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from music_assets.defs.recommender.backtest import backtest as asset
from music_assets.recommender import backtest
from music_assets.recommender.backtest import WEEK
from music_assets.recommender.names import CANDIDATES, EASE, POPULARITY
from music_assets.recommender.recipes import recipe
from music_assets.recommender.training import Workshop
from music_assets.resources import PlatformResource
from streaming.errors import IntegrityError
from tests.recommender.worlds import shuffled, tastes

if TYPE_CHECKING:
    from collections.abc import Callable

    from music_assets.settings import Settings

FIRST, SECOND = "2024-01-15", "2024-01-29"
"""Mondays; the world of `tastes` begins in November 2023 and has a hundred days."""
SETTINGS: dict[str, dict[str, Any]] = {POPULARITY: {}, EASE: {"strength": 20.0}}


def moment(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * 1_000_000


def test_a_week_is_judged_on_what_came_before_it_and_what_comes_later_changes_nothing() -> None:
    world = tastes()
    week = backtest.backtest(world, moment(SECOND), SETTINGS)
    assert week.listens == (world.time < moment(SECOND)).sum()
    assert 30 < week.listeners < len(world.users)
    assert week.metrics[EASE]["ndcg@10"] > 2 * week.metrics[POPULARITY]["ndcg@10"]
    assert week.gains[EASE].lower > 0 == week.gains[POPULARITY].mean
    over = backtest.backtest(world.before(moment(SECOND) + WEEK), moment(SECOND), SETTINGS)
    assert over == week
    mixed = shuffled(world)
    later = world.time >= moment(SECOND) + WEEK
    mixed.item[~later] = world.item[~later]
    assert backtest.backtest(mixed, moment(SECOND), SETTINGS) == week, "no week knows a later one"
    earlier = backtest.backtest(world, moment(FIRST), SETTINGS)
    assert earlier.listens < week.listens
    assert earlier != week


@pytest.mark.parametrize("day", ["2020-01-06", "2030-01-07"])
def test_a_week_in_which_nothing_can_be_judged_says_so(day: str) -> None:
    week = backtest.backtest(tastes(), moment(day), SETTINGS)
    assert (week.listeners, week.metrics) == (0, {})


def test_each_partition_is_kept_and_the_curve_shows_them_all(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(mlflow_tracking_uri="off")
    monkeypatch.setattr("music_assets.resources.settings", lambda: settings)
    root = settings.model_root
    assert backtest.kept(root) == {}
    Workshop(root).prepare(tastes())
    told = {}
    for day in (SECOND, FIRST, SECOND):
        result = dg.materialize([asset], resources={"platform": PlatformResource()}, partition_key=day)
        [event] = result.asset_materializations_for_node("recommender__backtest")
        told[day] = {name: value.value for name, value in event.metadata.items()}
    empty = backtest.backtest(tastes(), moment("2020-01-06"), {})
    backtest.keep(root, datetime(2020, 1, 6, tzinfo=UTC).date(), empty)
    weeks = backtest.kept(root)
    assert list(weeks) == [FIRST, SECOND], "a week without a judge is none"
    lines = backtest.curve(weeks)
    assert set(lines) == {*CANDIDATES}
    assert all(len(line) == 2 for line in lines.values())
    last = [line[-1] or 0.0 for line in lines.values()]
    assert last == sorted(last, reverse=True)
    assert told[SECOND]["models"][EASE] == weeks[SECOND].metrics[EASE]
    assert told[SECOND]["weeks"] == 2
    assert told[SECOND]["curve"].startswith("![NDCG week by week](data:image/svg+xml;base64,")
    assert told[FIRST]["week"].count("\n") >= len(CANDIDATES) + 1
    (root / "work" / "backtest" / FIRST / "week.json").write_text("{}")
    with pytest.raises(IntegrityError, match=f"the backtest of {FIRST} cannot be read"):
        backtest.kept(root)


def test_the_settings_are_those_picked_last(tmp_path: Any) -> None:
    assert backtest.current_settings(tmp_path) == {name: asdict(recipe(name).first) for name in CANDIDATES}
    workshop = Workshop(tmp_path)
    workshop.prepare(tastes(listeners=20))
    candidate = workshop.train(POPULARITY)
    with (tmp_path / "work" / POPULARITY / "candidate.json").open("r+") as file:
        facts = json.load(file)
        file.seek(0)
        json.dump({**facts, "settings": {"half_life_days": 30.5}}, file)
        file.truncate()
    assert candidate.settings != backtest.current_settings(tmp_path)[POPULARITY] == {"half_life_days": 30.5}
