"""The commands `music source health|gaps|backfill`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from music_assets.commands import given, screen
from music_assets.settings import settings
from streaming.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, help="The sources that plays and facts are collected from.")


@app.command()
def health() -> None:
    """Show how each source answered in the last week."""
    from music_assets.sources.health import health as looks

    now = datetime.now(UTC)
    with given.database(settings(), autocommit=True) as conn:
        found = looks(conn, now)
    screen.show(
        ["source", "kind", "origin", "looks", "good", "requests", "retries", "stored", "last good", "newest", "note"],
        [
            [each.source, each.kind, each.origin, each.looks, each.good, each.requests, each.retries, each.items,
             _time(each.last_good), each.outcome, each.note or ""]
            for each in found
        ],
    )  # fmt: skip


@app.command()
def gaps(since: Annotated[str, typer.Option(help="ISO 8601 with zone; by default 30 days ago.")] = "") -> None:
    """Name the times that no look at a live account covers."""
    from music_assets.sources.collect import owner_of
    from music_assets.sources.gaps import WATCHED, find

    now = datetime.now(UTC)
    with given.database(settings(), autocommit=True) as conn:
        found = find(conn, owner_of(settings()), now, since=_moment("--since", since) if since else now - WATCHED)
    screen.show(
        ["source", "account", "since", "until", "known plays", "outcomes of looks"],
        [
            [gap.source, gap.account, _time(gap.since), _time(gap.until), gap.plays, ", ".join(gap.outcomes)]
            for gap in found
        ],
    )
    typer.echo(f"{len(found)} gaps")


@app.command()
def backfill(
    source: Annotated[str, typer.Argument(help="lastfm, spotify or listenbrainz.")],
    account: Annotated[str, typer.Argument(help="As the source calls it.")],
    *,
    since: Annotated[str, typer.Option(help="First moment, ISO 8601 with zone.")],
    until: Annotated[str, typer.Option(help="Up to here, without it; by default now.")] = "",
) -> None:
    """Read a time of an account's past again; what is known already is stored once all the same."""
    from music_assets.sources.books import Books
    from music_assets.sources.collect import backfill as fill
    from music_assets.sources.collect import opened
    from music_assets.sources.sink import topics

    begin, end = _moment("--since", since), _moment("--until", until) if until else datetime.now(UTC)
    with (
        given.database(settings(), autocommit=True) as conn,
        topics(settings()) as sink,
        opened(source, settings()) as found,
    ):
        done = fill(found, Books(conn), sink, account=account, since=begin, until=end)
    typer.echo(f"{done.sent:,} plays sent, {done.rejected:,} rejected, origin {found.source.origin}")


def _time(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else "never"


def _moment(option: str, text: str) -> datetime:
    moment = given.moment(option, text)
    if moment.tzinfo is None:
        raise ConfigurationError(f"{option} {text!r} has no zone, such as 2026-06-01T00:00Z")
    return moment
