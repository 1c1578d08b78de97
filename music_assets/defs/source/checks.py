"""What must be true of the sources: they answer, and no time of an account is uncovered."""

from datetime import UTC, datetime
from typing import Final

import dagster as dg

from music_assets.resources import PlatformResource

_COLLECTORS: Final = ("lastfm_listens", "lastfm_artists", "spotify_listens", "spotify_tracks", "listenbrainz_listens")


def _health_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=["source", name],
        name="every_source_answered_lately",
        description="Each kind of look at the live source ended well within a day; recorded answers count as none.",
    )
    def every_source_answered_lately(platform: PlatformResource) -> dg.AssetCheckResult:
        from music_assets.sources.health import health, silent

        now = datetime.now(UTC)
        with platform.connect() as conn:
            mine = [each for each in health(conn, now) if each.source == name.split("_")[0]]
        sentences = silent(mine, now)
        live = any(each.origin == "live" for each in mine)
        return dg.AssetCheckResult(
            passed=not sentences,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(sentences) or ("all answered" if live else "nothing live is set up"),
        )

    return every_source_answered_lately


def _gap_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=["source", "gaps"])
    def no_window_is_uncovered(platform: PlatformResource) -> dg.AssetCheckResult:
        """Every moment since an account's first look is covered by a look that ended well."""
        from music_assets.sources.collect import owner_of
        from music_assets.sources.gaps import WATCHED, find

        now = datetime.now(UTC)
        with platform.connect() as conn:
            found = find(conn, owner_of(platform.settings()), now, since=now - WATCHED)
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{len(found)} gaps; `music source gaps` names them, `music source backfill` reads them again",
            metadata={"gaps": [f"{gap.source}: {gap.since} to {gap.until}, {gap.plays} known plays" for gap in found]},
        )

    return no_window_is_uncovered


@dg.definitions
def source_checks() -> dg.Definitions:
    """Bind the checks."""
    return dg.Definitions(asset_checks=[_gap_check(), *(_health_check(name) for name in _COLLECTORS)])
