"""Upkeep of the lake as an asset: its history says how tables and small files grow."""

from datetime import timedelta

import dagster as dg

from music_assets.automation import EVERY_NIGHT
from music_assets.resources import PlatformResource
from streaming.tables import tables

_COLUMNS = ("table_id", "rows", "bytes", "files", "small_files", "files_after", "removed", "version")


@dg.asset(
    key=["lake", "upkeep"],
    deps=[[table.layer, table.name] for table in tables().values()],
    group_name="lake",
    kinds={"deltalake"},
    owners=["team:platform"],
    automation_condition=EVERY_NIGHT,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36)),
    description="One row per lake table and night: rows, size, files before and after compaction, files removed.",
)
def upkeep(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """Compact, cluster and vacuum every table."""
    from dataclasses import asdict

    from streaming.upkeep import tend_all

    done = [asdict(each) for each in tend_all(platform.settings())]
    records = [dg.TableRecord({name: each[name] for name in _COLUMNS}) for each in done]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(done),
            "bytes": sum(each["bytes"] for each in done),
            "small_files": sum(each["small_files"] for each in done),
            "removed_files": sum(each["removed"] for each in done),
            "tables": dg.MetadataValue.table(records) if records else "no table yet",
        }
    )
