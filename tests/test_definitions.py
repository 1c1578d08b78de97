"""The asset graph as a whole: it loads from nothing, says what everything is, and has no gap."""

import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from streaming.tables import tables
from streaming.topics import event_topics, topics

ROOT = Path(__file__).parent.parent
LOAD_SECONDS = 10


@cache
def graph() -> AssetGraph:
    return repository().asset_graph


@cache
def repository() -> dg.RepositoryDefinition:
    from music_assets.definitions import defs

    return defs().get_repository_def()


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(name.split("/"))


def specs() -> list[dg.AssetSpec]:
    return [definition.get_asset_spec(asset_key) for definition in graph().assets_defs for asset_key in definition.keys]


def test_definitions_load_with_an_empty_environment_and_no_deprecation(tmp_path: Path) -> None:
    program = "from music_assets.definitions import defs; print(len(list(defs().resolve_all_asset_keys())))"
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:music_assets", "-c", program],
        env={"PATH": "/usr/bin:/bin"}, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 40
    assert time.monotonic() - started < LOAD_SECONDS * 2, "twice the bound: the machine may be shared"


def test_every_topic_and_table_is_an_asset() -> None:
    keys = graph().get_all_asset_keys()
    assert {key(f"topic/{name}") for name in topics()} <= keys
    assert {key(table_id) for table_id in tables()} <= keys


@pytest.mark.parametrize("topic", [topic.name for topic in event_topics()])
def test_lineage_runs_from_topic_to_bundle(topic: str) -> None:
    ancestors = graph().get_ancestor_asset_keys(key("online/bundle"))
    if topic == "events_listens":
        assert {key(f"topic/{topic}"), key(f"silver/{topic}"), key("marts/fct_listens")} <= ancestors
    assert key(f"topic/{topic}") in graph().get_ancestor_asset_keys(key(f"silver/{topic}"))


def test_every_asset_says_what_it_is_whose_and_where() -> None:
    for spec in specs():
        name = spec.key.to_user_string()
        assert spec.description, f"{name} has no description"
        assert len(spec.description) > 15, f"{name}: {spec.description!r} says too little"
        assert spec.owners, f"{name} has no owner"
        assert spec.group_name not in (None, "default"), f"{name} has no group"
        assert spec.kinds, f"{name} has no kind"


def test_stages_are_the_groups() -> None:
    for spec in specs():
        assert spec.group_name == spec.key.path[0]


def test_freshness_where_data_moves() -> None:
    for spec in specs():
        if spec.key.path[0] in {"bronze", "silver", "gold", "lake", "marts", "recommender", "online"}:
            assert spec.freshness_policy is not None, spec.key.to_user_string()


def test_every_asset_can_be_materialised_by_hand() -> None:
    assert graph().get_all_asset_keys() == graph().executable_asset_keys | graph().external_asset_keys
    lake = {asset for asset in graph().get_all_asset_keys() if asset.path[0] != "source"}
    assert lake <= graph().materializable_asset_keys


def test_checks_that_guard_the_way_block() -> None:
    blocking = {
        (check.asset_key.to_user_string(), check.name)
        for check in (graph().get_check_spec(asset_check) for asset_check in graph().asset_check_keys)
        if check.blocking
    }
    assert ("lake/ledger", "ledger_balances") in blocking
    assert {("silver/" + topic.table, "one_row_per_event_id") for topic in event_topics()} <= blocking


def test_sensors_run_by_default() -> None:
    for sensor in repository().sensor_defs:
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING, sensor.name


def test_validate_command_is_clean() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    warnings = [line for line in done.stderr.splitlines() if "Warning:" in line and "definitions_validate" not in line]
    assert not warnings, "the command's own supersession aside"
