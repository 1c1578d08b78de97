"""The command `music rebuild silver`."""

from enum import StrEnum
from typing import Annotated

import typer

from music_assets.commands import screen
from music_assets.settings import settings

app = typer.Typer(no_args_is_help=True, help="Tables made anew from what they come from.")


class Source(StrEnum):
    """What silver can be made from."""

    BRONZE = "bronze"


@app.callback()
def subjects() -> None:
    """Tables made anew from what they come from."""


@app.command()
def silver(
    *,
    from_: Annotated[Source, typer.Option("--from", help="What to make it from.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build and compare, and change nothing.")] = False,
) -> None:
    """Make silver, dead letters, catalogue and ledger anew beside the old ones, say what differs, and switch."""
    from streaming.repair.rebuild import rebuild_silver

    done = rebuild_silver(settings(), dry_run=dry_run)
    screen.show(
        ["topic", "received", "stored", "was", "duplicate", "was", "dead-lettered", "was"],
        [
            [topic, new.received, new.stored, old.stored, new.duplicate, old.duplicate, new.dead_lettered,
             old.dead_lettered]
            for topic, new in done.after.items()
            for old in (done.before[topic],)
        ],
    )  # fmt: skip
    for each in done.differences:
        places = ", ".join("/".join(map(str, place)) for place in each.first)
        typer.echo(f"{each.table_id}: {each.count:,} {each.kind}, first at {places}")
    if not done.differences:
        typer.echo("silver and the dead letters are identical")
    ending = "the new tables are in place" if done.switched else "nothing was changed"
    typer.echo(f"{done.positions:,} messages from {from_.value} in {done.seconds:.1f} s; {ending}")
