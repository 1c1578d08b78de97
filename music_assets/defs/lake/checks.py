"""What must hold of the lake's tables."""

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
import pyarrow.compute as pc

from music_assets.resources import PlatformResource
from streaming.tables import silver
from streaming.topics import Topic, event_topics, log_topics, topics

_DEAD_LETTER_LIMIT: Final = 0.05
"""Share of a topic's messages: a producer with a bug breaks most of its messages, a stray one breaks a few."""


@dg.asset_check(
    asset=["lake", "ledger"],
    blocking=True,
    description="Every offset has exactly one outcome, and silver, dead letters, bronze and broker agree with it.",
)
def ledger_balances(platform: PlatformResource) -> dg.AssetCheckResult:
    """The ledger against the tables and the broker."""
    from streaming.ledger import problems, totals
    from streaming.topics.admin import describe

    lake = platform.lake()
    found = problems(lake, describe(platform.settings().bootstrap_servers))
    received = {name: total.received for name, total in totals(lake).items()}
    return dg.AssetCheckResult(passed=not found, metadata={"problems": found, "received": received})


@dg.asset_check(
    asset=["lake", "ledger"],
    description="Silver takes messages in: no topic's messages break their contract so often that it stands still.",
)
def silver_is_not_halted(platform: PlatformResource) -> dg.AssetCheckResult:
    """The brake of `streaming.halt`."""
    from streaming.halt import halted

    halt = halted(platform.settings())
    return dg.AssetCheckResult(passed=halt is None, description=halt.sentence if halt else None)


@dg.asset_check(
    asset=["lake", "ledger"],
    description="The stream service answers and its silver stream runs; without it runs of the sensor catch up.",
)
def stream_is_running(platform: PlatformResource) -> dg.AssetCheckResult:
    """What the service says of itself."""
    from streaming.control import StreamClient

    info = StreamClient(platform.settings().stream_port).about()
    sentence = "no service answers" if info is None else (info.halted or info.last_error)
    return dg.AssetCheckResult(
        passed=info is not None and info.running,
        severity=dg.AssetCheckSeverity.WARN,
        description=sentence,
    )


@dg.asset_check(
    asset=["lake", "ledger"],
    description="The service runs the code, the engine and the lake that this code location knows.",
)
def stream_is_deployed(platform: PlatformResource) -> dg.AssetCheckResult:
    """Version, engine and lake of the service against this code's."""
    from streaming.control import StreamClient, code_version

    settings = platform.settings()
    wanted = {
        "version": code_version(), "engine": settings.stream_engine, "lake": str(settings.storage)
    }  # fmt: skip
    info = StreamClient(settings.stream_port).about()
    found = info.model_dump(include=set(wanted)) if info else {}
    different = [
        f"{name}: {found.get(name, 'no service')}, wanted {value}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]
    return dg.AssetCheckResult(
        passed=not different, severity=dg.AssetCheckSeverity.WARN, metadata={"differences": different}
    )


def _one_row_per_event_id(topic: Topic) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=["silver", topic.table],
        name="one_row_per_event_id",
        blocking=True,
        description="No event_id is stored twice.",
    )
    def one_row_per_event_id(platform: PlatformResource) -> dg.AssetCheckResult:
        ids = platform.lake().read(silver(topic.table), ["event_id"]).column("event_id")
        rows, different = len(ids), int(pc.count_distinct(ids).as_py())
        return dg.AssetCheckResult(passed=rows == different, metadata={"rows": rows, "event_ids": different})

    return one_row_per_event_id


def _events_are_fresh(topic: Topic) -> dg.AssetChecksDefinition:
    limit = timedelta(minutes=topic.stale_after_minutes)

    @dg.asset_check(
        asset=["silver", topic.table],
        name="events_are_fresh",
        description=f"The newest event happened within {limit}: a refill of old ones is not fresh.",
    )
    def events_are_fresh(platform: PlatformResource) -> dg.AssetCheckResult:
        newest = pc.max(platform.lake().read(silver(topic.table), ["timestamp"]).column("timestamp")).as_py()
        return dg.AssetCheckResult(
            passed=newest is not None and datetime.now(UTC) - newest <= limit,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"newest": str(newest) if newest else "none yet"},
        )

    return events_are_fresh


def _dead_letters_stay_below_limit(topic: Topic) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=["deadletter", topic.name],
        name="dead_letters_stay_below_limit",
        description=f"At most {_DEAD_LETTER_LIMIT:.0%} of the topic's messages break their contract.",
    )
    def dead_letters_stay_below_limit(platform: PlatformResource) -> dg.AssetCheckResult:
        from streaming.ledger import totals

        total = totals(platform.lake())[topic.name]
        return dg.AssetCheckResult(
            passed=total.dead_lettered <= _DEAD_LETTER_LIMIT * total.received,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"dead_lettered": total.dead_lettered, "received": total.received},
        )

    return dead_letters_stay_below_limit


@dg.definitions
def lake_checks() -> dg.Definitions:
    """Derive the checks from the topics' files."""
    return dg.Definitions(
        asset_checks=[
            ledger_balances,
            silver_is_not_halted,
            stream_is_running,
            stream_is_deployed,
            *(_one_row_per_event_id(topic) for topic in log_topics()),
            *(_events_are_fresh(topic) for topic in event_topics()),
            *(_dead_letters_stay_below_limit(topic) for topic in topics().values()),
        ]
    )
