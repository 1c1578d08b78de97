"""What the API reads: the bundle it follows, the histories it folds in, and what listeners did lately."""

from datetime import timedelta
from typing import Final

import dagster as dg

from music_assets.automation import EVERY_HOUR, WHEN_CHECKED
from music_assets.resources import PlatformResource
from streaming.topics import event_topics

OWNERS: Final = ["team:platform"]
DAILY: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))


@dg.asset(
    key=["online", "bundle"],
    deps=[["recommender", "champion"]],
    kinds={"numpy"},
    group_name="online",
    owners=OWNERS,
    freshness_policy=DAILY,
    automation_condition=WHEN_CHECKED,
)
def bundle(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """The pointer that the API follows, one version: what the gate released, unless a person rolled that back since."""
    from music_assets.recommender import bundle as bundles
    from music_assets.recommender import releases

    root = platform.settings().model_root
    change = releases.follow(root)
    removed = bundles.prune(root)
    return dg.MaterializeResult(
        metadata={
            "version": change.after,
            "previous": bundles.pointer(root, "previous") or "none",
            "refused": change.refused or "nothing",
            "removed": dg.MetadataValue.json(removed),
        }
    )


@dg.asset(
    key=["online", "histories"],
    deps=[["recommender", "interactions"]],
    kinds={"redis"},
    group_name="online",
    owners=OWNERS,
    freshness_policy=DAILY,
    automation_condition=WHEN_CHECKED,
)
def histories(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """Histories in the online store: one value per listener, the items last heard and how often."""
    from redis import Redis

    from music_assets.recommender.features import write_histories
    from music_assets.recommender.training import Workshop

    settings = platform.settings()
    with Redis.from_url(settings.redis) as client:
        written, removed = write_histories(client, Workshop(settings.model_root).listens())
    return dg.MaterializeResult(metadata={"dagster/row_count": written, "removed": removed})


@dg.asset(
    key=["online", "features"],
    deps=[["topic", topic.name] for topic in event_topics()],
    kinds={"kafka", "redis"},
    group_name="online",
    owners=OWNERS,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=3), warn_window=timedelta(hours=2)),
    automation_condition=EVERY_HOUR,
)
def features(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """What every listener did lately, one value each: recent items, counts by event type, last seen.

    A service fills it within a second; without the service the run takes in what waits.
    """
    from redis import Redis

    from streaming.control import FEATURES, FEATURES_ASSET, StreamClient
    from streaming.jobs.features import run_once
    from streaming.online import inventory

    settings = platform.settings()
    client = StreamClient(settings.features_port)
    report = client.run(FEATURES) if client.alive() else run_once(settings)
    with Redis.from_url(settings.redis) as redis:
        held = inventory(redis)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": held.listeners,
            "events_added": report.tables[FEATURES_ASSET].rows_added,
            "keys": held.keys,
            "memory_mb": round(held.bytes / 2**20, 2),
        }
    )
