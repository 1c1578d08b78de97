"""The command `music backfill`."""

from typing import Annotated

import typer
from rich.console import Console

from music_assets.commands import given
from music_assets.settings import settings
from streaming.errors import ConfigurationError

backfill = typer.Typer(no_args_is_help=True, help="Compute results of the past again.")


@backfill.callback()
def group() -> None:
    """Compute results of the past again."""


@backfill.command()
def trending(
    *,
    since: Annotated[str, typer.Option(help="First moment, ISO 8601 with zone, such as 2026-06-01T00:00Z.")],
    window: Annotated[str, typer.Option(help="1h or 24h; absent: both.")] = "",
    missing: Annotated[bool, typer.Option("--missing", help="Only ticks that the history has no chart of.")] = False,
) -> None:
    """Replace the charts of every tick since a moment by what they would have been with every event in time."""
    # The engine without a JVM, whatever the streams run on: both give the same charts, and this one starts at once.
    from streaming.jobs import backfill as job
    from streaming.jobs.trending_python import ArrowCharts
    from streaming.trending import WINDOWS

    if window and window not in WINDOWS:
        raise ConfigurationError(f"--window {window!r} is none; valid: {', '.join(WINDOWS)}")
    begin, engine = given.moment("--since", since), ArrowCharts(settings().storage)
    with Console(stderr=True).status("computing") as status:
        for name in [window] if window else WINDOWS:

            def show(done: int, ticks: int, name: str = name) -> None:
                status.update(f"{name}: {done:,} of {ticks:,} charts")

            done = job.backfill(settings(), engine, WINDOWS[name], since=begin, missing=missing, progress=show)
            typer.echo(f"{name}: {done:,} charts computed")
