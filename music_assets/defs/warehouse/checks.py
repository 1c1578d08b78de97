"""The check that lake, staged copies and marts hold the same."""

import dagster as dg
import psycopg

from music_assets.defs.warehouse.assets import FULL
from music_assets.resources import PlatformResource


@dg.asset_check(
    asset=["marts", "fct_listens"],
    additional_deps=[["marts", "fct_interactions"], ["marts", "fct_ratings"], ["marts", "fct_recommendations"]],
    blocking=True,
    pool="warehouse",  # a build in between would show half of two
    description="Lake, staging and marts have the same rows and values: of what is new, and at night of every day.",
)
def lake_staging_and_marts_agree(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    """Compare checksums and name what differs."""
    from music_assets.warehouse.reconcile import reconcile

    if platform.settings().warehouse_target == "snowflake":
        return dg.AssetCheckResult(
            passed=True, metadata={"compared": "rows, by the load; checksums on PostgreSQL alone"}
        )
    whole = context.run.tags.get(FULL) == "true"
    with platform.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        found = reconcile(connection, platform.lake(), whole=whole)
    return dg.AssetCheckResult(
        passed=not found,
        metadata={"whole": whole, "differences": len(found), "first": "\n".join(map(str, found[:50]))},
    )
