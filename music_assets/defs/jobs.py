"""The jobs a person starts, how runs execute, and the sensors that let assets move by themselves."""

from typing import Final

import dagster as dg

from music_assets.defs.warehouse.assets import FULL

STAGES: Final = (
    "topic", "bronze", "silver", "deadletter", "lake", "gold", "staging", "intermediate", "marts",
    "recommender", "online",
)  # fmt: skip
"""Every stage between the broker and the API, by the first part of the asset keys."""

WAREHOUSE: Final = ("staging", "intermediate", "marts")
"""Stages whose assets dbt or the load makes."""

_SELECTION: Final[dg.AssetSelection] = dg.AssetSelection.key_prefixes(
    *[[stage] for stage in STAGES]
) | dg.AssetSelection.assets(["source", "item_links"], ["docs", "warehouse"])

_NOW: Final[dg.AssetSelection] = _SELECTION - dg.AssetSelection.assets(["recommender", "backtest"])
"""Without what is made for a week of the past, which a run of everything has none of."""


@dg.definitions
def jobs() -> dg.Definitions:
    """Bind the job, the executor and the automation sensors."""
    platform = dg.define_asset_job(
        "platform",
        selection=_NOW,
        description="Takes everything from the topics to the API up to now: lake, warehouse, recommender, bundle.",
    )
    nightly = dg.define_asset_job(
        "warehouse_from_nothing",
        selection=dg.AssetSelection.key_prefixes(*[[stage] for stage in WAREHOUSE]),
        tags={FULL: "true"},
        description="Builds every model from nothing and tests every row: what was removed is gone by then.",
    )
    return dg.Definitions(
        jobs=[platform, nightly],
        schedules=[
            dg.ScheduleDefinition(
                name="warehouse_every_night",
                job=nightly,
                cron_schedule="45 2 * * *",
                default_status=dg.DefaultScheduleStatus.RUNNING,
            )
        ],
        # One process a run: a fresh interpreter per step costs three seconds, a step here forty milliseconds.
        executor=dg.in_process_executor,
        sensors=[
            dg.AutomationConditionSensorDefinition(
                "move_with_upstream",
                target=_SELECTION,
                default_status=dg.DefaultSensorStatus.RUNNING,
                description="Starts what a condition in `music_assets.automation` asks for.",
            )
        ],
    )
