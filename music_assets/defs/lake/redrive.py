"""The job that sends dead letters to their topics once more, after a fix."""

import dagster as dg

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
