"""`music listener`: what is kept about a listener beside what they did."""

from typing import Annotated

import typer

from music_assets.commands import given
from music_assets.settings import settings

app = typer.Typer(no_args_is_help=True, help="Listeners.")


@app.callback()
def group() -> None:
    """Listeners."""


@app.command()
def zone(
    user_id: Annotated[str, typer.Argument(help="As the client names the listener.")],
    time_zone: Annotated[str, typer.Argument(help="Such as Europe/Brussels.")],
) -> None:
    """Say in which time zone a listener's days and weeks are; without it they are UTC's."""
    from music_assets.identity import set_zone

    with given.database(settings()) as connection:
        set_zone(connection, user_id, time_zone)
    typer.echo(f"days and weeks are those of {time_zone}; the next build of the warehouse counts by them")


@app.command()
def readmit(user_id: Annotated[str, typer.Argument(help="As the client names the listener.")]) -> None:
    """Let a user who was erased be a listener again, a new one, because they want to."""
    from music_assets.erasures import readmit as let_in

    with given.database(settings()) as connection:
        kept_out = let_in(connection, user_id)
    typer.echo("events of this user are taken in again" if kept_out else "this user was not kept out")
