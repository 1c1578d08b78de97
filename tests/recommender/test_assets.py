"""The recommender's assets, materialised on a real PostgreSQL and a real Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg
import pytest
import redis
from pydantic import SecretStr

from music_assets.defs.online import assets as online
from music_assets.defs.online import checks as online_checks
from music_assets.defs.recommender import assets, checks, ranking
from music_assets.recommender import bundle, features, releases
from music_assets.resources import PlatformResource
from tests.recommender.marts import create_marts, plant
from tests.recommender.worlds import DAY, START, shuffled, tastes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from music_assets.recommender.interactions import Interactions
    from music_assets.settings import Settings

DEFINITIONS = [
    assets.interactions,
    assets.candidates_popularity,
    assets.candidates_ease,
    assets.leaderboard,
    assets.champion,
    online.bundle,
    online.histories,
    checks.nothing_under_test_was_known_before,
    checks.champion_beats_popularity,
    checks.champion_bundle_gives_its_known_answers,
    online_checks.api_follows_the_released_bundle,
    online_checks.every_listener_has_a_history,
]

SECOND_STAGE = [
    assets.candidates_ials,
    assets.candidates_rp3beta,
    assets.candidates_item_knn,
    assets.candidates_gf_cf,
    ranking.exposures,
    ranking.ranker,
]
"""What is trained beside them every day; most questions here do not need it."""


@pytest.fixture
def here(
    make_settings: Callable[..., Settings], database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    settings = make_settings(database_url=SecretStr(database_url), redis_url=redis_url, mlflow_tracking_uri="off")
    monkeypatch.setattr("music_assets.resources.settings", lambda: settings)
    with psycopg.connect(database_url) as connection:
        connection.execute("drop schema if exists marts cascade")
        create_marts(connection)
        connection.execute(
            "insert into marts.dim_track"
            " select 'track:' || lpad(n::text, 2, '0'), 'Song ' || n from generate_series(0, 59) as n"
        )
    return settings


def run(settings: Settings, world: Interactions, *more: Any, **options: Any) -> dg.ExecuteInProcessResult:
    with psycopg.connect(settings.database) as connection:
        plant(connection, world)
    return dg.materialize(
        [*DEFINITIONS, *more], resources={"platform": PlatformResource()}, raise_on_error=False, **options
    )


def outcome(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    [event] = result.asset_materializations_for_node(name)
    return {key: value.value for key, value in event.metadata.items()}


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def test_from_the_marts_to_what_the_api_follows(here: Settings) -> None:
    world = tastes()
    result = run(here, world)
    assert result.success
    assert all(found.passed for found in evaluations(result).values())
    assert len(evaluations(result)) == 5
    assert outcome(result, "recommender__interactions")["dagster/row_count"] == len(world)
    champion = outcome(result, "recommender__champion")
    assert champion["released"], champion["reason"]
    board = outcome(result, "recommender__leaderboard")
    assert board["leaderboard"].count("\n") == 3
    assert board["picture"].startswith("![NDCG over popularity, with its interval](data:image/svg+xml;base64,")
    assert champion["limits"].count("| holds |") == len(champion["limits"].splitlines()) - 2 > 3
    assert board["models"]["ease"]["ndcg@10"] > 2 * board["models"]["popularity"]["ndcg@10"]
    served = bundle.load(here.model_root, str(bundle.champion(here.model_root)))
    assert served.version == champion["version"]
    with redis.Redis.from_url(here.redis) as store:
        history = features.decode(store.get(features.key("u000")))
    answer = served.recommend(history, k=5)
    assert answer
    assert answer[0].reason.startswith("because you played Song ")
    assert not {scored.item_id for scored in answer} & set(history)


@pytest.mark.parametrize("definition", DEFINITIONS[:7], ids=lambda definition: definition.key.to_user_string())
def test_each_asset_can_be_materialised_alone_afterwards(here: Settings, definition: dg.AssetsDefinition) -> None:
    assert run(here, tastes()).success
    assert run(here, tastes(), selection=[definition.key]).success


def test_a_refused_model_says_why_and_the_champion_serves_on(here: Settings) -> None:
    assert run(here, tastes()).success
    before = bundle.champion(here.model_root)
    result = run(here, shuffled(tastes()))
    assert result.success
    refused = evaluations(result)["champion_beats_popularity"]
    assert not refused.passed
    assert refused.severity is dg.AssetCheckSeverity.WARN
    assert "refused" in str(refused.description)
    told = outcome(result, "recommender__champion")
    assert (told["released"], told["reason"]) == (False, refused.description)
    assert bundle.champion(here.model_root) == before


def test_the_second_stage_is_trained_measured_and_asks_to_serve(here: Settings) -> None:
    result = run(here, tastes(listeners=400), *SECOND_STAGE)
    assert result.success
    assert outcome(result, "recommender__ranker")["ranks"]
    board = outcome(result, "recommender__leaderboard")["models"]
    assert {"popularity", "ease", "ials", "rp3beta", "item_knn", "gf_cf", "two_stage"} == set(board)
    assert "two_stage is " in outcome(result, "recommender__champion")["reason"]


def test_a_rollback_outlasts_the_next_run_and_the_run_says_so(here: Settings) -> None:
    assert run(here, tastes().before(START + 95 * DAY)).success
    first = bundle.champion(here.model_root)
    assert run(here, tastes()).success
    second = bundle.champion(here.model_root)
    releases.roll_back(here.model_root)
    result = run(here, tastes())
    assert result.success
    assert bundle.champion(here.model_root) == first != second
    assert f"it is {second} again, which was rolled back at" in outcome(result, "recommender__champion")["reason"]
    bundle.release(here.model_root, str(second))
    follows = dg.materialize(
        [online.bundle, online_checks.api_follows_the_released_bundle], resources={"platform": PlatformResource()}
    )
    assert f"{second} was rolled back at" in outcome(follows, "online__bundle")["refused"]
    assert bundle.champion(here.model_root) == first
    assert evaluations(follows)["api_follows_the_released_bundle"].passed


def test_a_leak_stops_the_training(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from music_assets.recommender.split import Split

    monkeypatch.setattr(Split, "leak", lambda _: "the future is known")
    result = run(here, tastes())
    assert not result.success
    assert bundle.champion(here.model_root) is None


def test_a_damaged_release_does_not_reach_the_api(here: Settings, tmp_path: Path) -> None:
    assert run(here, tastes()).success
    root = here.model_root
    champion = bundle.champion(root)
    other = bundle.write(root, bundle.load(root, str(champion)).contents)
    bundle.release(root, other)
    (root / other / "model.npz").write_bytes(b"damaged")
    result = dg.materialize(
        [online.bundle, *DEFINITIONS[7:10]], resources={"platform": PlatformResource()}, raise_on_error=False
    )
    assert not result.success
    assert bundle.champion(root) == champion


def test_an_empty_warehouse_says_what_to_do(here: Settings) -> None:
    result = run(here, tastes().before(0))
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure][:1]
    assert "marts.fct_listens holds no listens yet" in str(failure.event_specific_data)


@pytest.mark.parametrize(
    "definition",
    [entry for entry in [*DEFINITIONS, *SECOND_STAGE] if not isinstance(entry, dg.AssetChecksDefinition)],
    ids=str,
)
def test_every_asset_says_what_it_is_and_grows_old(definition: dg.AssetsDefinition) -> None:
    for spec in definition.specs:
        assert len(spec.description or "") > 40
        assert spec.owners == ["team:platform"]
        assert spec.kinds
        assert spec.group_name == spec.key.path[0]
        assert spec.freshness_policy
        assert spec.automation_condition
