"""The jobs that send dead letters to their topics once more, after a fix, and the sensor of those asked of the API."""

from uuid import UUID

import dagster as dg

from music_assets.automation import ask_for_what_waits
from music_assets.resources import PlatformResource


class RedriveConfig(dg.Config):
    """Which dead letters; every condition that is given holds.

    Attributes:
        topic: its name; absent: every topic.
        reason: why it is a dead letter; absent: every reason, but not an event_id that another listener holds.
        since: the broker's time of the message, from here on, ISO 8601 with a zone; absent: since ever.
    """

    topic: str | None = None
    reason: str | None = None
    since: str | None = None


@dg.op(description="As `music deadletter redrive`: each one once, whatever was killed before.")
def redrive(context: dg.OpExecutionContext, config: RedriveConfig, platform: PlatformResource) -> None:
    """Send them, and say how many."""
    from streaming.repair.letters import Wanted, read_time
    from streaming.repair.redrive import redrive as send

    wanted = Wanted(topic=config.topic, reason=config.reason, since=read_time("since", config.since))
    outcome = send(platform.settings(), wanted)
    sent = {f"{topic}: {reason}": count for (topic, reason), count in sorted(outcome.sent.items())}
    context.add_output_metadata(
        {
            "sent": outcome.sent.total(),
            "sent_by_reason": dg.MetadataValue.json(sent),
            "skipped": dg.MetadataValue.json(dict(outcome.skipped)),
            "recovered": outcome.recovered,
        }
    )


@dg.job(description="Sends dead letters to their topics once more, after the parser or the producer was fixed.")
def redrive_dead_letters() -> None:
    """One step."""
    redrive()


@dg.op(description="Carries out what was asked of the API; each request says what became of it.")
def redrive_asked(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    """Carry out what waits, and say how much went."""
    from music_assets.redriving import carry_out

    done = carry_out(platform.settings())
    context.add_output_metadata(
        {
            "redrives": len(done),
            "sent": sum(each.sent or 0 for each in done),
            "failed": sum(each.state == "failed" for each in done),
        }
    )


@dg.job(description="Sends the dead letters to their topics that an operator asked for on the page or of the API.")
def redrive_what_was_asked() -> None:
    """One step."""
    redrive_asked()


@dg.sensor(
    name="redrives_that_wait",
    job=redrive_what_was_asked,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run when an operator asked for a redrive, and again while that has not ended.",
)
def redrives_that_wait(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.SensorResult | dg.SkipReason:
    """Look at the request table."""
    from music_assets.redrives import waiting

    def look() -> list[UUID]:
        with platform.connect() as connection:
            return [each.redrive_id for each in waiting(connection)]

    return ask_for_what_waits(context, look)
