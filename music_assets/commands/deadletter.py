"""The commands `music deadletter list|show|redrive`."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from music_assets.commands import screen
from music_assets.settings import settings
from streaming.printable import printable

if TYPE_CHECKING:
    from streaming.repair.letters import Wanted

app = typer.Typer(no_args_is_help=True, help="Messages that break their contract.")

_VALUE_SHOWN: Final = 2_000

Topic = Annotated[str | None, typer.Option(help="Only this topic's.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only those for this reason.")]
Since = Annotated[str | None, typer.Option(help="The broker's time, from here on: ISO 8601 with a zone.")]
Until = Annotated[str | None, typer.Option(help="Up to here, without it.")]


@app.command("list")
def list_(topic: Topic = None, reason: ReasonOption = None, since: Since = None, until: Until = None) -> None:
    """Count dead letters by topic and reason."""
    from streaming.lake import Lake
    from streaming.repair.letters import summary

    counts = summary(Lake(settings().storage), _wanted(topic, reason, since, until))
    screen.show(
        ["topic", "reason", "count", "redriven", "first", "last"],
        [
            [each.topic, each.reason, each.count, each.redriven,
             each.first.isoformat(timespec="seconds"), each.last.isoformat(timespec="seconds")]
            for each in counts
        ],
    )  # fmt: skip
    typer.echo(f"{sum(each.count for each in counts):,} dead letters")


@app.command()
def show(
    topic: Topic = None, reason: ReasonOption = None, since: Since = None, until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="Dead letters at most.")] = 20,
) -> None:  # fmt: skip
    """Print dead letters, one JSON object a line."""
    from streaming.lake import Lake
    from streaming.repair.letters import show as shown

    for letter in shown(Lake(settings().storage), _wanted(topic, reason, since, until), limit=limit):
        typer.echo(json.dumps(_printable(letter), ensure_ascii=False))


def _printable(letter: dict[str, Any]) -> dict[str, Any]:
    value = letter["value"]
    return {
        "topic": letter["topic"],
        "position": f"{letter['kafka_topic_id']}/{letter['kafka_partition']}/{letter['kafka_offset']}",
        "time": letter["kafka_timestamp"].isoformat(),
        "status": letter["status"],
        "attempt": letter["attempt"],
        "reason": letter["reason"],
        "field": letter["field"],
        "detail": printable(letter["detail"]),
        "key": printable(letter["key"]),
        "value": printable(value if value is None else value[:_VALUE_SHOWN]),
        "bytes": len(value or b""),
        "headers": [[printable(each["key"]), printable(each["value"])] for each in letter["headers"] or []],
    }


@app.command()
def redrive(
    *, topic: Topic = None, reason: ReasonOption = None, since: Since = None, until: Until = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Messages at most.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
) -> None:  # fmt: skip
    """Send dead letters to their topics once more, each one once."""
    from streaming.repair.redrive import redrive as send

    outcome = send(settings(), _wanted(topic, reason, since, until), limit=limit, dry_run=dry_run)
    screen.show(
        ["topic", "reason", "would be sent" if dry_run else "sent"],
        [[*names, count] for names, count in sorted(outcome.sent.items())],
    )
    skipped = ", ".join(f"{count:,} {why}" for why, count in sorted(outcome.skipped.items()))
    if outcome.recovered:
        typer.echo(f"{outcome.recovered:,} had been sent by a run that was interrupted")
    typer.echo(f"{outcome.sent.total():,} {'would be sent' if dry_run else 'sent'}; left: {skipped or 'none'}")


def _wanted(topic: str | None, reason: str | None, since: str | None, until: str | None) -> "Wanted":
    from streaming.repair.letters import Wanted, read_time

    return Wanted(topic=topic, reason=reason, since=read_time("--since", since), until=read_time("--until", until))
