"""Asset `source/item_links`: which ids mean one artist or track."""

import dagster as dg

from music_assets.automation import ON_CRON_HOURLY
from music_assets.resources import PlatformResource


@dg.asset(
    key=["source", "item_links"],
    deps=[["staging", "catalog_artists"], ["staging", "catalog_songs"], ["staging", "events_listens"]],
    kinds={"python", "postgres"},
    group_name="source",
    owners=["team:platform"],
    automation_condition=ON_CRON_HOURLY,
)
def item_links(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One row per id that another one stands for: spellings of an artist, one recording under several ids.

    Below a confidence of 0.85 a link is only proposed: `music identity list` shows it, `accept` and `reject` decide.
    """
    from music_assets.resolution import catalogue, links

    with platform.connect() as connection:
        matches = catalogue.find(connection)
        changes = links.record(connection, matches)
    methods: dict[str, int] = {}
    for match in matches:
        methods[match.method] = methods.get(match.method, 0) + 1
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": changes.active + changes.proposed,
            "active": changes.active,
            "proposed": changes.proposed,
            "changed": changes.written + changes.removed,
            "methods": dg.MetadataValue.json(methods),
        }
    )
