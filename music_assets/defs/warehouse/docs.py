"""Asset `docs/warehouse`: dbt's documentation of the project and the database, one page."""

import dagster as dg

from music_assets.automation import ON_CRON_DAILY
from music_assets.resources import PlatformResource


@dg.asset(
    key=["docs", "warehouse"],
    deps=[["marts", "fct_listens"], ["marts", "mart_recap_facts"]],
    kinds={"dbt"},
    group_name="docs",
    owners=["team:platform"],
    automation_condition=ON_CRON_DAILY,
    pool="warehouse",  # a build in between would show half of two
)
def warehouse_docs(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One HTML page with every model, its columns, tests, lineage and SQL; it needs no server and no internet."""
    from music_assets.warehouse import dbt

    page = dbt.docs(platform.settings())
    return dg.MaterializeResult(metadata={"page": dg.MetadataValue.path(page), "bytes": page.stat().st_size})
