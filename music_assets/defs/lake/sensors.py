"""Catches up when messages wait and no stream service is there to take them in."""

import json

import dagster as dg

from music_assets.resources import PlatformResource
from streaming.errors import UnavailableError
from streaming.ledger import Partition

_LAKE = dg.AssetSelection.groups("bronze", "silver", "deadletter", "lake", "gold")


@dg.sensor(
    name="new_events",
    target=_LAKE,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run of the lake's tables when topics hold messages that the ledger does not.",
)
def new_events(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult | dg.SkipReason:
    """Compare the topics' end offsets with the ledger's."""
    from streaming.control import StreamClient
    from streaming.ledger import end_offsets
    from streaming.tables import LEDGER
    from streaming.topics.admin import describe

    settings = platform.settings()
    if StreamClient(settings.stream_port).alive():
        return dg.SkipReason("the stream service takes the messages in")
    try:
        states = describe(settings.bootstrap_servers)
    except UnavailableError as error:
        return dg.SkipReason(str(error))
    lake = platform.lake()
    known = end_offsets(lake) if lake.exists(LEDGER) else {}
    lag = {
        name: sum(
            end - known.get(Partition(state.topic_id, number), state.first_offsets[number])
            for number, end in state.end_offsets.items()
        )
        for name, state in states.items()
    }
    seen = json.loads(context.cursor) if context.cursor else {}
    # The same offsets are asked for once: a run that failed on them would fail again every 30 seconds.
    now = json.dumps({name: sorted(state.end_offsets.items()) for name, state in states.items()}, sort_keys=True)
    if not any(lag.values()) or now == seen.get("asked"):
        return dg.SensorResult(
            skip_reason="no message waits that was not asked for already", cursor=json.dumps({**seen, "waited": False})
        )
    if not seen.get("waited"):
        # A service that is only starting answers at the next look; a run would hold its place in the pool for nothing.
        return dg.SensorResult(
            skip_reason="messages wait; the next look starts a run if the service is still away",
            cursor=json.dumps({**seen, "waited": True}),
        )
    waiting = {f"lag/{name}": str(count) for name, count in lag.items() if count}
    return dg.SensorResult(
        run_requests=[dg.RunRequest(tags=waiting)], cursor=json.dumps({"asked": now, "waited": False})
    )
