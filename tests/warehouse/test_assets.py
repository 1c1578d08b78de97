"""The warehouse as assets: loaded, built and checked in one run, held back by a failing check, moved by the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg
import pytest

from music_assets.defs.staging.assets import staging
from music_assets.defs.warehouse.assets import warehouse
from music_assets.resources import PlatformResource
from music_assets.settings import Settings
from music_assets.warehouse import load_table
from streaming.lake import Lake
from streaming.storage import Storage
from streaming.tables import tables
from tests.dbt.test_project import models
from tests.warehouse.lakes import write

if TYPE_CHECKING:
    from pathlib import Path

SILVER = [["silver", table.name] for table in tables().values() if table.layer == "silver"]


class Platform(PlatformResource):
    """The parts of one test."""

    home: str
    database: str

    def settings(self) -> Settings:
        return Settings(_env_file=None, music_home=self.home, database_url=self.database)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Storage.local(tmp_path / "lake"))


@pytest.fixture
def definitions(tmp_path: Path, warehouse_url: str) -> dg.Definitions:
    return make_definitions(Platform(home=str(tmp_path), database=warehouse_url))


def make_definitions(platform: PlatformResource) -> dg.Definitions:
    return dg.Definitions.merge(
        warehouse(), dg.Definitions(assets=[staging, *map(dg.AssetSpec, SILVER)], resources={"platform": platform})
    )


def run(definitions: dg.Definitions, *assets: str) -> tuple[bool, dict[str, Any], dict[str, bool]]:
    """Materialise assets, or all; returns success, row count by asset, verdict by check."""
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        raise_on_error=False, asset_selection=[dg.AssetKey(asset.split("/")) for asset in assets] or None
    )
    return told(result)


def told(result: dg.ExecuteInProcessResult) -> tuple[bool, dict[str, Any], dict[str, bool]]:
    """Return success, row count by asset, verdict by check."""
    rows: dict[str, Any] = {}
    checks: dict[str, bool] = {}
    for event in result.all_events:
        if event.is_step_materialization:
            count = event.materialization.metadata.get("dagster/row_count")
            rows["/".join(event.materialization.asset_key.path)] = count.value if count else None
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            checks[f"{'/'.join(evaluation.asset_key.path)}:{evaluation.check_name}"] = evaluation.passed
    return result.success, rows, checks


def test_one_run_loads_builds_counts_and_checks(definitions: dg.Definitions, lake: Lake) -> None:
    write(lake, "events_listens", {"event_id": "live"}, {"event_id": "export"}, {"item_id": "artist:1"})
    write(lake, "catalog_songs", {"item_id": "track:1"})

    success, rows, checks = run(definitions)

    assert success
    assert all(checks.values())
    assert rows["staging/events_listens"] == 3
    assert rows["marts/fct_listens"] == 2
    assert rows["marts/dim_track"] == 1
    assert checks["staging/events_listens:every_lake_row_is_in_the_warehouse"]
    assert checks["marts/fct_listens:no_play_is_counted_twice"]
    graph = definitions.resolve_asset_graph()
    assert {f"{'/'.join(key.asset_key.path)}:{key.name}" for key in graph.asset_check_keys} == checks.keys()


def test_every_column_of_a_built_model_says_where_it_comes_from(definitions: dg.Definitions, lake: Lake) -> None:
    write(lake, "events_listens", {})

    job = definitions.resolve_implicit_global_asset_job_def()
    lineage: dict[str, dict[str, set[str]]] = {}
    shown: dict[str, dict[str, str]] = {}
    for event in job.execute_in_process().all_events:
        if event.is_step_materialization and "dagster/column_lineage" in event.materialization.metadata:
            value = event.materialization.metadata["dagster/column_lineage"].value
            assert isinstance(value, dg.TableColumnLineage)
            name = event.materialization.asset_key.path[-1]
            schema = event.materialization.metadata["dagster/column_schema"].value
            assert isinstance(schema, dg.TableSchema)
            shown[name] = {column.name: column.description or "" for column in schema.columns}
            lineage[name] = {
                column: {f"{'/'.join(each.asset_key.path)}.{each.column_name}" for each in deps}
                for column, deps in value.deps_by_column.items()
            }

    described = {node["name"]: set(node["columns"]) for node in models()}
    assert {name: set(columns) for name, columns in lineage.items()} == described
    assert lineage["stg_silver__listens"]["listened_at"] == {"staging/events_listens.timestamp"}
    assert lineage["fct_listens"]["artist_id"] == {
        "intermediate/int_listens_deduplicated.item_id", "intermediate/int_listens_deduplicated.item_kind",
        "marts/dim_album.artist_id", "marts/dim_track.artist_id",
    }  # fmt: skip
    assert lineage["mart_recap_facts"]["minutes"] == {"marts/fct_listens.ms_played"}
    assert shown["mart_recap_facts"]["minutes"].endswith("From `marts.fct_listens.ms_played`.")


def test_a_failing_test_keeps_bad_rows_from_the_marts(definitions: dg.Definitions, lake: Lake) -> None:
    write(lake, "events_listens", {"ms_played": -5})

    success, rows, checks = run(
        definitions, "staging/events_listens", "staging/stg_silver__listens", "intermediate/int_listens_deduplicated"
    )

    assert not success
    assert rows.keys() == {"staging/events_listens", "staging/stg_silver__listens"}
    assert not checks["staging/stg_silver__listens:stg_silver__listens_ms_played_is_in_range"]


def test_rows_that_the_warehouse_misses_stop_dbt(definitions: dg.Definitions, lake: Lake, warehouse_url: str) -> None:
    table = write(lake, "events_listens", {})
    with psycopg.connect(warehouse_url) as connection:
        load_table(connection, lake, table)
        connection.execute("delete from silver.events_listens")

    success, rows, checks = run(definitions)

    assert not success
    assert not checks["staging/events_listens:every_lake_row_is_in_the_warehouse"]
    assert rows.keys() == {f"staging/{table[1]}" for table in SILVER}


def test_failing_checks_block() -> None:
    graph = make_definitions(PlatformResource()).resolve_asset_graph()

    assert {key.name for key in graph.asset_check_keys if not graph.get(key).blocking} == set()


def test_every_asset_is_described_owned_and_grouped_by_its_stage() -> None:
    every = make_definitions(PlatformResource()).resolve_all_asset_specs()
    specs = [spec for spec in every if spec.owners and spec.key.path[0] != "source"]

    assert len(specs) == 8 + 47
    for spec in specs:
        assert "one row per " in (spec.description or "").lower(), spec.key
        assert (spec.group_name, spec.owners, "postgres" in spec.kinds) == (spec.key.path[0], ["team:platform"], True)
        assert spec.freshness_policy is not None


def test_the_clock_moves_the_warehouse_though_no_catalogue_moved() -> None:
    """Everything goes well; the lake's tables were reported once, before the hour."""
    definitions, instance = make_definitions(PlatformResource()), dg.DagsterInstance.ephemeral()
    graph, cursor = definitions.resolve_asset_graph(), None
    for table in SILVER:
        instance.report_runless_asset_event(dg.AssetMaterialization(table))

    def tick(hour: int, minute: int) -> set[str]:
        nonlocal cursor
        now = datetime(2024, 5, 1, hour, minute, tzinfo=UTC)
        result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor, evaluation_time=now)
        cursor = result.cursor
        requested = {key for key in graph.materializable_asset_keys if result.get_num_requested(key)}
        for key in requested:
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        for check in graph.asset_check_keys:
            if check.asset_key in requested:
                instance.report_runless_asset_event(
                    dg.AssetCheckEvaluation(asset_key=check.asset_key, check_name=check.name, passed=True, metadata={})
                )
        return {"/".join(key.path) for key in requested}

    for minute in range(10):  # the first hour goes model by model, because no check has passed yet
        tick(10, minute)
    for minute in range(10):
        tick(11, minute)
    assert tick(11, 59) == set()

    assert tick(12, 0) == {"/".join(key.path) for key in graph.materializable_asset_keys}
    assert tick(12, 1) == set()
