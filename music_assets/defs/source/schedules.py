"""When the collectors look: by the clock, and by default only where a key is set."""

from collections.abc import Iterator

import dagster as dg


def _schedules() -> Iterator[dg.ScheduleDefinition]:
    from music_assets.settings import settings

    chosen = settings()
    keyed = {
        "lastfm": chosen.lastfm_api_key is not None,
        "spotify": chosen.spotify_refresh_token is not None,
        "listenbrainz": bool(chosen.listenbrainz_users),
    }
    crons = {
        # Fifty plays of two minutes are 100 minutes; skipped ones count as well.
        "spotify_listens": "*/10 * * * *",
        "lastfm_listens": "5 * * * *",
        "listenbrainz_listens": "15 * * * *",
        "lastfm_artists": "40 1 * * *",
        "spotify_tracks": "50 1 * * *",
    }
    for name, cron in crons.items():
        running = keyed[name.split("_")[0]]
        yield dg.ScheduleDefinition(
            name=f"collect_{name}",
            cron_schedule=cron,
            target=dg.AssetSelection.assets(["source", name]),
            default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
            description=f"Looks for what is new in source/{name}; stopped by default where no key is set.",
        )
    yield dg.ScheduleDefinition(
        name="look_for_gaps",
        cron_schedule="30 * * * *",
        target=dg.AssetSelection.assets(["source", "gaps"]),
        default_status=dg.DefaultScheduleStatus.RUNNING if any(keyed.values()) else dg.DefaultScheduleStatus.STOPPED,
        description="Names the times that no look at a live account covers.",
    )


@dg.definitions
def source_schedules() -> dg.Definitions:
    """Bind the schedules."""
    return dg.Definitions(schedules=list(_schedules()))
