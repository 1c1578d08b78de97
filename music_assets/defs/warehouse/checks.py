"""The check that lake, staged copies and marts hold the same."""

import dagster as dg

from music_assets.resources import PlatformResource


@dg.asset_check(
    asset=["marts", "fct_listens"],
    additional_deps=[["marts", "fct_interactions"], ["marts", "fct_ratings"], ["marts", "fct_recommendations"]],
    blocking=True,
    description="Every day of every table has the same rows and values in lake, staging and marts.",
)
def lake_staging_and_marts_agree(platform: PlatformResource) -> dg.AssetCheckResult:
    """Compare checksums by day and name what differs."""
    from music_assets.warehouse.reconcile import reconcile

    with platform.connect() as connection:
        found = reconcile(connection, platform.lake())
    return dg.AssetCheckResult(
        passed=not found, metadata={"differences": len(found), "first": "\n".join(map(str, found[:50]))}
    )
