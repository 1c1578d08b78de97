"""What the API reads: the bundle it follows and the histories it folds in."""

from datetime import timedelta
from typing import Final

import dagster as dg

from music_assets.automation import WHEN_CHECKED
from music_assets.resources import PlatformResource

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
    """The pointer that the API follows, one version: moved to what the gate released, with the way back kept."""
    from music_assets.recommender import bundle as bundles
    from streaming.errors import UnavailableError

    root = platform.settings().model_root
    released = bundles.pointer(root, "released")
    if released is None:
        raise UnavailableError("nothing was released yet: materialise recommender/champion first")
    bundles.promote(root, released)
    removed = bundles.prune(root)
    return dg.MaterializeResult(
        metadata={
            "version": released,
            "previous": bundles.pointer(root, "previous") or "none",
            "removed": dg.MetadataValue.json(removed),
        }
    )


@dg.asset(
    key=["online", "features"],
    deps=[["recommender", "interactions"]],
    kinds={"redis"},
    group_name="online",
    owners=OWNERS,
    freshness_policy=DAILY,
    automation_condition=WHEN_CHECKED,
)
def features(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """Histories in the online store: one value per listener, the items last heard and how often."""
    from redis import Redis

    from music_assets.recommender.features import write_histories
    from music_assets.recommender.training import Workshop

    settings = platform.settings()
    with Redis.from_url(settings.redis) as client:
        written, removed = write_histories(client, Workshop(settings.model_root).listens())
    return dg.MaterializeResult(metadata={"dagster/row_count": written, "removed": removed})
