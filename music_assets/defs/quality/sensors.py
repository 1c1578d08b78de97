"""Keeps the result of every check and test, dbt's included, and tells of those that turn."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from music_assets.resources import PlatformResource

_AT_ONCE: Final = 1000
_KEPT: Final = timedelta(days=400)


@dg.sensor(
    name="quality_results",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Copies the results of checks and tests into `ops.quality_results` and tells of those that turn.",
)
def quality_results(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
    """Read the event log from where the last look ended."""
    from music_assets.quality.alerts import channels, tell
    from music_assets.quality.results import forget_older, record

    wanted = dg.EventRecordsFilter(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=int(context.cursor) if context.cursor else 0
    )
    found = context.instance.event_log_storage.get_event_records(wanted, limit=_AT_ONCE, ascending=True)
    results = [_result(each, context) for each in found]
    with platform.connect() as connection:
        turned = record(connection, results)
        if results:
            # Reads the whole table: not at every look of the sensor.
            forget_older(connection, _KEPT)
        # The results are kept whatever becomes of telling.
        connection.commit()
        tell(connection, turned, channels(platform.settings()))
    return dg.SensorResult(
        skip_reason=f"{len(results)} results kept, {len(turned)} turned",
        cursor=str(found[-1].storage_id) if found else context.cursor,
    )


def _result(event: Any, context: dg.SensorEvaluationContext) -> Any:
    from music_assets.quality.results import Result

    said = event.event_log_entry.dagster_event.event_specific_data
    return Result(
        event_id=event.storage_id,
        asset=said.asset_key.to_user_string(),
        check_name=said.check_name,
        passed=said.passed,
        severity="error" if said.severity == dg.AssetCheckSeverity.ERROR else "warn",
        is_blocking=said.blocking,
        owner=_owner(context, said.asset_key),
        description=said.description,
        figures={name: value.value for name, value in said.metadata.items() if _plain(value.value)},
        run_id=event.run_id,
        evaluated_at=datetime.fromtimestamp(event.timestamp, UTC),
    )


def _owner(context: dg.SensorEvaluationContext, key: dg.AssetKey) -> str | None:
    graph = context.repository_def.asset_graph if context.repository_def else None
    owners = graph.get(key).owners if graph is not None and graph.has(key) else ()
    return next(iter(owners), None)


def _plain(value: object) -> bool:
    return isinstance(value, bool | int | float | str) and len(str(value)) <= _AT_ONCE
