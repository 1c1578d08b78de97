"""What must be true of the recommender before anything of it is served."""

import dagster as dg

from music_assets.resources import PlatformResource


@dg.asset_check(asset=["recommender", "interactions"], blocking=True)
def nothing_under_test_was_known_before(platform: PlatformResource) -> dg.AssetCheckResult:
    """No listen of the test part is known to the training part, and no item under test was heard before."""
    from music_assets.recommender.training import Workshop

    problem = Workshop(platform.settings().model_root).split().leak()
    return dg.AssetCheckResult(passed=problem is None, description=problem or "the parts are apart")


@dg.asset_check(asset=["recommender", "champion"])
def champion_beats_popularity(platform: PlatformResource) -> dg.AssetCheckResult:
    """The last challenger was let pass by the gate; if not, the reason says why and what served goes on serving."""
    from music_assets.recommender.training import Workshop

    outcome = Workshop(platform.settings().model_root).outcome()
    return dg.AssetCheckResult(
        passed=outcome.verdict.released,
        severity=dg.AssetCheckSeverity.WARN,
        description=outcome.verdict.reason,
        metadata={"version": outcome.version},
    )


@dg.asset_check(asset=["recommender", "champion"], blocking=True)
def champion_bundle_gives_its_known_answers(platform: PlatformResource) -> dg.AssetCheckResult:
    """The released bundle loads, every byte is as written, and it answers its probe as when it was made."""
    from music_assets.recommender import bundle
    from streaming.errors import IntegrityError

    root = platform.settings().model_root
    version = bundle.pointer(root, "released")
    if version is None:
        return dg.AssetCheckResult(passed=False, description="nothing was released yet")
    try:
        loaded = bundle.load(root, version)
    except IntegrityError as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    return dg.AssetCheckResult(passed=True, metadata={"version": version, "items": len(loaded.contents.model.items)})
