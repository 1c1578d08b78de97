"""Assets `staging/<table>`: the lake's silver tables as the warehouse holds them, each row once."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import dagster as dg

from music_assets.automation import EVERY_HOUR
from music_assets.resources import PlatformResource
from music_assets.warehouse import LoadResult, load_table
from music_assets.warehouse.forget import follow_tombstones
from streaming.tables import Table, tables

_SHORTEST: Final = timedelta(hours=3)  # two missed ticks of the clock
_CHECK: Final = "every_lake_row_is_in_the_warehouse"


def _silver() -> dict[dg.AssetKey, Table]:
    return {dg.AssetKey(["staging", table.name]): table for table in tables().values() if table.layer == "silver"}


def _spec(key: dg.AssetKey, table: Table) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=[[table.layer, table.name], ["lake", "ledger"]],  # what does not balance goes no further
        description=f"{table.grain}\n\nCopy of `{table.id}` in the warehouse, where dbt reads it.",
        group_name="staging",
        kinds={"postgres"},
        owners=["team:platform"],
        automation_condition=EVERY_HOUR,
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=max(timedelta(minutes=table.stale_after_minutes), _SHORTEST)
        ),
    )


def _check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        _CHECK,
        asset=key,
        blocking=True,
        description="Up to the watermark the lake holds as many rows as the warehouse.",
    )


@dg.multi_asset(
    name="staging",
    specs=[_spec(key, table) for key, table in _silver().items()],
    check_specs=[_check(key) for key in _silver()],
    can_subset=True,
)
def staging(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Load the selected tables, each in a transaction of its own; into Snowflake, if that is the warehouse."""
    lake = platform.lake()
    selected = {key: table for key, table in _silver().items() if key in context.selected_asset_keys}
    if platform.settings().warehouse_target == "snowflake":
        yield from _into_snowflake(platform, selected)
        return
    with platform.connect() as connection:
        # First: a copy with rows that the lake forgot would hold more than the lake.
        forgotten = follow_tombstones(platform.settings(), connection, lake)
    if forgotten:
        context.log.info("%d listeners are forgotten", forgotten)
    for key, table in selected.items():
        with platform.connect() as connection:
            result = load_table(connection, lake, table)
        yield dg.MaterializeResult(asset_key=key, metadata=_metadata(result), check_results=[_verdict(key, result)])


def _into_snowflake(
    platform: PlatformResource, selected: dict[dg.AssetKey, Table]
) -> Iterator[dg.MaterializeResult[None]]:
    """Load the tables and what collectors brought; one that does not hold the lake's rows afterwards ends the run."""
    from music_assets.warehouse import snowflake

    with platform.connect() as connection:
        totals = snowflake.load(platform.settings(), connection, platform.lake(), only=selected.values())
    for key, table in selected.items():
        rows = totals[table.id]
        whole = LoadResult(rows=rows, deleted=0, rows_total=rows, rows_in_lake=rows)
        yield dg.MaterializeResult(
            asset_key=key, metadata={"dagster/row_count": rows}, check_results=[_verdict(key, whole)]
        )


def _metadata(result: LoadResult) -> dict[str, int]:
    return {"rows_loaded": result.rows, "rows_deleted": result.deleted, "dagster/row_count": result.rows_total}


def _verdict(key: dg.AssetKey, result: LoadResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=_CHECK,
        passed=result.complete,
        metadata={"rows_in_lake": result.rows_in_lake, "rows_in_warehouse": result.rows_total},
    )
