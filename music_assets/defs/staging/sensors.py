"""Lets the warehouse follow the lake in minutes: backdated plays must not wait for the hour."""

import json
import time
from typing import Final

import dagster as dg

from music_assets.resources import PlatformResource

_WAREHOUSE: Final = dg.AssetSelection.groups("silver", "staging", "intermediate", "marts") | dg.AssetSelection.assets(
    ["lake", "ledger"], ["source", "item_links"]
)
_UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.sensor(
    name="silver_moved",
    target=_WAREHOUSE,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run of the warehouse when silver tables hold other rows than at the run before.",
)
def silver_moved(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult | dg.SkipReason:
    """Compare silver's tables with those of the last request.

    Tables of events are compared by their rows, which upkeep does not change; a catalogue's rows are replaced in
    place, so its version counts.
    """
    from streaming.tables import tables

    lake = platform.lake()
    silver = [table for table in tables().values() if table.layer == "silver" and lake.exists(table)]
    marks = {table.id: lake.version(table) if table.keeps_last else lake.count(table) for table in silver}
    if not context.cursor:
        # What starts the platform also fills it: the first run of its own comes one interval later.
        return dg.SensorResult(skip_reason="first look", cursor=json.dumps({"marks": {}, "at": time.time()}))
    last = json.loads(context.cursor)
    moved = sorted(name for name, mark in marks.items() if mark and mark != last["marks"].get(name))
    if not moved:
        return dg.SkipReason("silver is where it was")
    if time.time() < last["at"] + platform.settings().warehouse_interval_seconds:
        return dg.SkipReason(f"{', '.join(moved)} moved; the last run is not long enough ago")
    # A run that takes longer than the interval must not have the next one waiting behind it.
    filters = dg.RunsFilter(tags={"dagster/sensor_name": "silver_moved"}, statuses=_UNDER_WAY)
    if context.instance.get_runs(filters, limit=1):
        return dg.SkipReason(f"{', '.join(moved)} moved; the last run is not done yet")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(tags={"moved": ",".join(moved)})],
        cursor=json.dumps({"marks": marks, "at": time.time()}),
    )
