"""Where events come from: what is fetched or invented, and handed to the topics through the API."""

from datetime import UTC, datetime
from typing import Final

import dagster as dg

from music_assets.resources import PlatformResource

SEED: Final = 7


@dg.asset(
    key=["source", "synthetic_events"],
    kinds={"python", "kafka"},
    group_name="source",
    owners=["team:platform"],
)
def synthetic_events(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One row per event of invented listeners, up to now: a day of sessions, a trend, duplicates and bad events.

    Sent to the running API, so that it takes the same way as everybody's events; the catalogue goes before it.
    """
    from contextlib import closing

    from music_assets.sources import synthetic
    from music_assets.sources.client import EventClient, send_messages
    from music_assets.sources.feed import catalogue_messages
    from streaming.errors import IntegrityError
    from streaming.producer import EventProducer

    settings = platform.settings()
    size = synthetic.Size(listeners=40, events=1000, days=1)
    feed = synthetic.build(SEED, datetime.now(UTC), size).feed
    with closing(EventProducer(settings.bootstrap_servers, client_id="music-source")) as producer:
        items, _ = send_messages(producer, catalogue_messages(feed.catalogue), patience_seconds=30)
    with EventClient(settings.api_url, patience_seconds=30, key=settings.api_key) as client:
        verdicts = client.post(feed.events())
    if verdicts.posted != feed.truth.posted or dict(verdicts.rejected) != feed.truth.rejected:
        raise IntegrityError(f"the API refused {dict(verdicts.rejected)}, planted were {feed.truth.rejected}")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": verdicts.accepted + verdicts.spooled,
            "spooled": verdicts.spooled,
            "rejected": verdicts.rejected.total(),
            "catalogue_records": items,
        }
    )
