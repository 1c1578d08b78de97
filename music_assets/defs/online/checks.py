"""What must be true of what the API reads."""

from typing import Final

import dagster as dg

from music_assets.resources import PlatformResource

_FRESH_SECONDS: Final = 10.0
"""A hundred times what an event takes on its way."""


@dg.asset_check(asset=["online", "bundle"])
def api_follows_the_released_bundle(platform: PlatformResource) -> dg.AssetCheckResult:
    """The champion's pointer names the version that was released last, unless that was rolled back."""
    from music_assets.recommender import bundle, releases

    root = platform.settings().model_root
    serves, released = bundle.champion(root), bundle.pointer(root, "released")
    taken_back = released in {each.version for each in releases.withdrawn(root)}
    return dg.AssetCheckResult(
        passed=serves is not None and (serves == released or taken_back),
        description=f"{serves} serves, {released} was released{' and rolled back' if taken_back else ''}",
    )


@dg.asset_check(asset=["online", "histories"])
def every_listener_has_a_history(platform: PlatformResource) -> dg.AssetCheckResult:
    """The online store holds one history per listener, those who vanished are gone."""
    from redis import Redis

    from music_assets.recommender.features import PREFIX
    from music_assets.recommender.training import Workshop

    settings = platform.settings()
    known = len(Workshop(settings.model_root).listens().users)
    with Redis.from_url(settings.redis) as client:
        stored = sum(1 for _ in client.scan_iter(match=f"{PREFIX}*", count=1000))
    return dg.AssetCheckResult(passed=stored == known, metadata={"stored": stored, "listeners": known})


@dg.asset_check(asset=["online", "features"])
def features_are_fresh(platform: PlatformResource) -> dg.AssetCheckResult:
    """Every event that waits now is in the online store within ten seconds."""
    from streaming.jobs.features import waiting

    left = waiting(platform.settings(), seconds=_FRESH_SECONDS)
    return dg.AssetCheckResult(
        passed=left == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{'all' if left is None else left} events still wait after {_FRESH_SECONDS:.0f} s",
        metadata={"waiting": "all" if left is None else left},
    )
