"""Lets the warehouse follow the lake in minutes: backdated plays must not wait for the hour."""

import json
import time
from typing import Final

import dagster as dg

from music_assets.resources import PlatformResource

_WAREHOUSE: Final = dg.AssetSelection.groups("silver", "staging", "intermediate", "marts")
_LEDGER: Final = dg.AssetSelection.assets(["lake", "ledger"])
_LINKS: Final = dg.AssetSelection.assets(["source", "item_links"])
"""Moved by people, who are not asked here."""

_UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.sensor(
    name="silver_moved",
    target=_WAREHOUSE | _LEDGER | _LINKS,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run of what lies downstream when silver tables hold other rows than at the run before.",
)
def silver_moved(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult | dg.SkipReason:
    """Compare silver's tables with those of the last request.

    What lies downstream of what moved is built, and everything if the run before did not succeed or was of another
    project: then more may be missing than moved now.

    Tables of events are compared by their rows, which upkeep does not change; a catalogue's rows are replaced in
    place, so its version counts.
    """
    from music_assets.warehouse.dbt import fingerprint
    from streaming.tables import tables

    lake = platform.lake()
    silver = [table for table in tables().values() if table.layer == "silver" and lake.exists(table)]
    marks = {table.id: lake.version(table) if table.keeps_last else lake.count(table) for table in silver}
    if not context.cursor:
        # What starts the platform also fills it: the first run of its own comes one interval later.
        return dg.SensorResult(skip_reason="first look", cursor=_cursor({}, project=""))
    last = json.loads(context.cursor)
    moved = sorted(name for name, mark in marks.items() if mark and mark != last["marks"].get(name))
    if not moved:
        return dg.SkipReason("silver is where it was")
    if time.time() < last["at"] + platform.settings().warehouse_interval_seconds:
        return dg.SkipReason(f"{', '.join(moved)} moved; the last run is not long enough ago")
    # A run that takes longer than the interval must not have the next one waiting behind it.
    runs = context.instance.get_runs(dg.RunsFilter(tags={"dagster/sensor_name": "silver_moved"}), limit=1)
    if runs and runs[0].status in _UNDER_WAY:
        return dg.SkipReason(f"{', '.join(moved)} moved; the last run is not done yet")
    project = fingerprint()
    stands = runs and runs[0].status is dg.DagsterRunStatus.SUCCESS and last.get("project") == project
    chosen = _downstream(context, moved) if stands else None
    return dg.SensorResult(
        run_requests=[dg.RunRequest(asset_selection=chosen, tags={"moved": ",".join(moved)})],
        cursor=_cursor(marks, project=project),
    )


def _cursor(marks: dict[str, int], *, project: str) -> str:
    return json.dumps({"marks": marks, "at": time.time(), "project": project})


def _downstream(context: dg.SensorEvaluationContext, moved: list[str]) -> list[dg.AssetKey]:
    """Return what other rows in these tables may change, and the links; the rest is as the last run left it."""
    assert context.repository_def is not None
    tables = dg.AssetSelection.assets(*(name.split("/") for name in moved))
    # From the copies on: the ledger is of all tables, and every copy waits for it.
    copies = dg.AssetSelection.assets(*(["staging", name.split("/")[1]] for name in moved))
    chosen = tables | _LEDGER | (copies | _LINKS).downstream() & (_WAREHOUSE | _LINKS)
    return sorted(chosen.resolve(context.repository_def.asset_graph))
