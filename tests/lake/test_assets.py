"""The lake's assets without a stream service: a run does the service's work, and the checks look at what it did."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from dagster_pyspark import LazyPySparkResource
from deltalake import DeltaTable

from music_assets.defs.lake.assets import lake_assets
from music_assets.defs.lake.checks import lake_checks
from music_assets.defs.lake.sensors import new_events
from music_assets.defs.topic.assets import topic_assets
from music_assets.defs.topic.checks import topic_checks
from music_assets.resources import PlatformResource
from music_assets.settings import Settings
from streaming.sinks.tables import Write, append_arrow
from streaming.spark import spark_config
from streaming.tables import LEDGER, silver
from tests.streaming.conftest import Platform, engine, event, platform

__all__ = ["engine", "platform"]

pytestmark = pytest.mark.spark
LISTENS = ["silver/events_listens", "deadletter/events_listens", "lake/ledger"]


class Parts(PlatformResource):
    """The parts of one test."""

    values: dict[str, Any]

    def settings(self) -> Settings:
        return Settings(_env_file=None, **self.values)


def parts(platform: Platform) -> Parts:
    chosen = platform.settings
    return Parts(
        values={
            "music_home": str(chosen.music_home),
            "jars_path": str(chosen.jars_path),
            "kafka_bootstrap_servers": chosen.bootstrap_servers,
            "stream_port": chosen.stream_port,
            "stream_engine": chosen.stream_engine,
            "silver_interval_seconds": chosen.silver_interval_seconds,
        }
    )


def run(platform: Platform, *assets: str) -> tuple[bool, dict[str, int], dict[str, bool]]:
    """Materialise assets with their checks; returns success, rows by asset and verdicts by check."""
    definitions = dg.Definitions.merge(
        topic_assets(),
        lake_assets(),
        topic_checks(),
        lake_checks(),
        dg.Definitions(
            resources={
                "platform": parts(platform),
                "pyspark": LazyPySparkResource(spark_config=spark_config(platform.settings)),
            }
        ),
    )
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        raise_on_error=False, asset_selection=[dg.AssetKey(asset.split("/")) for asset in assets]
    )
    checks = {
        f"{each.asset_key.to_user_string()}:{each.check_name}": each.passed
        for each in result.get_asset_check_evaluations()
    }
    return result.success, _rows(result), checks


def _rows(result: dg.ExecuteInProcessResult) -> dict[str, int]:
    rows = {}
    for each in result.all_events:
        if each.is_step_materialization:
            made = each.step_materialization_data.materialization
            if "dagster/row_count" in made.metadata:
                rows[made.asset_key.to_user_string()] = int(made.metadata["dagster/row_count"].value)
    return rows


def test_a_run_takes_in_what_waits_when_no_service_is_there(platform: Platform) -> None:
    platform.put("events_listens", event(1), event(2), event(1), b"broken")
    success, rows, checks = run(platform, "topic/events_listens", "bronze/events_listens", *LISTENS)
    assert success
    assert rows["silver/events_listens"] == 2
    assert rows["deadletter/events_listens"] == 1
    assert rows["bronze/events_listens"] == 4
    assert checks["lake/ledger:ledger_balances"]
    assert checks["lake/ledger:silver_is_not_halted"]
    assert not checks["lake/ledger:stream_is_running"]
    assert not checks["lake/ledger:stream_is_deployed"]
    assert checks["silver/events_listens:one_row_per_event_id"]
    assert checks["topic/events_listens:broker_agrees_with_the_file"]
    assert not checks["deadletter/events_listens:dead_letters_stay_below_limit"], "one in four is broken"
    assert not checks["silver/events_listens:events_are_fresh"], "its events are from long ago"


def test_blocking_checks_fail_on_a_lost_row_and_on_a_doubled_one(platform: Platform) -> None:
    platform.put("events_listens", event(1), event(2))
    assert run(platform, *LISTENS)[0]
    table = silver("events_listens")
    DeltaTable(platform.settings.storage.folder / table.id).delete("event_id = 'event-2'")
    success, _, checks = run(platform, *LISTENS)
    assert not success
    assert not checks["lake/ledger:ledger_balances"]
    left: pa.Table = platform.lake.read(table)
    append_arrow(left, table, platform.settings.storage, write=Write(expected={}, leaves={}, note={}))
    success, _, checks = run(platform, *LISTENS)
    assert not success
    assert not checks["silver/events_listens:one_row_per_event_id"]


def test_the_lag_sensor_asks_once_for_what_waits_after_a_second_look(platform: Platform) -> None:
    resource = parts(platform)
    cursor = None

    def look() -> list[dg.RunRequest]:
        nonlocal cursor
        answer = new_events(dg.build_sensor_context(cursor=cursor, resources={"platform": resource}))
        assert isinstance(answer, dg.SensorResult)
        cursor = answer.cursor
        return list(answer.run_requests or [])

    assert look() == [], "nothing waits"
    platform.put("events_listens", event(1), event(2))
    assert look() == [], "a service may be on its way up"
    assert look()[0].tags["lag/events_listens"] == "2"
    assert [look(), look()] == [[], []], "it asks twice for the same offsets"
    platform.put("events_listens", event(3))
    assert look() == []
    assert len(look()) == 1
    platform.run()
    assert [look(), look()] == [[], []], "all is in the ledger"
    assert platform.lake.count(LEDGER) > 0
