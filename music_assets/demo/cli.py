"""The commands `music demo` and `music simulate`."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Console

from music_assets.settings import settings

_WIDTH: Final = 130
"""Of the lines where the output is no terminal: a log file should not break a table."""

Seed = Annotated[int, typer.Option(help="Of everything that is invented.")]


def demo(
    *,
    exit_: Annotated[
        bool, typer.Option("--exit", help="End after the summary, non-zero if a promise is broken.")
    ] = False,
    data: Annotated[str, typer.Option(help="synthetic, hetrec:FOLDER or radio:FILE.")] = "synthetic",
    seed: Seed = 7,
    listeners: Annotated[int, typer.Option(min=20, help="People of the synthetic world.")] = 300,
    events: Annotated[int, typer.Option(min=1000, help="Their events, about.")] = 40_000,
) -> None:
    """Start the stack, send a world of listeners, take it to recommendations and check every count."""
    from music_assets.demo import session
    from music_assets.demo.run import Options
    from music_assets.sources.synthetic import Size

    console = _console()
    options = Options(data=data, seed=seed, size=Size(listeners=listeners, events=events))
    if not session.run(options, settings(), console, serve=not exit_):
        raise typer.Exit(1)


def simulate(
    *,
    rate: Annotated[float, typer.Option(min=0.1, help="Events a second.")] = 20,
    minutes: Annotated[float, typer.Option(min=0.01, help="How long.")] = 5,
    seed: Seed = 7,
) -> None:
    """Post a steady load of listens, views, clicks and ratings to the running API."""
    from music_assets.sources import live
    from music_assets.sources.client import EventClient

    console = _console()
    load = live.Live(seed, datetime.now(UTC))
    live.send_catalogue(load, settings().bootstrap_servers)
    with (
        EventClient(settings().api_url, patience_seconds=30, key=settings().api_key) as client,
        console.status("posting") as status,
    ):
        verdicts = live.run(
            client, load, rate=rate, seconds=minutes * 60, progress=lambda so_far: status.update(str(so_far))
        )
    console.print(f"{verdicts.posted:,} events: {verdicts}", highlight=False)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)
