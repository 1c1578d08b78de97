"""`music account`: who may sign in to the web page."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from music_assets.commands import given, screen
from music_assets.settings import settings
from streaming.printable import printable

if TYPE_CHECKING:
    from datetime import datetime

app = typer.Typer(no_args_is_help=True, help="Accounts of the web page.")

Name = Annotated[str, typer.Argument(help="To sign in with.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the standard input, not by asking.")
]


@app.command()
def create(
    name: Name,
    *,
    user: Annotated[str | None, typer.Option(help="The listener whose account it is.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="It opens everything.")] = False,
    password_stdin: FromStdin = False,
) -> None:
    """Make an account of a listener, of an operator, or of one who is both."""
    from music_assets import accounts

    password = _password(from_stdin=password_stdin)
    with given.database(settings()) as connection:
        made = accounts.create(connection, name, password, user_id=user, is_operator=operator)
    typer.echo(f"{made.name} may sign in")


@app.command("list")
def list_() -> None:
    """Show every account."""
    from music_assets import accounts

    with given.database(settings()) as connection:
        found = accounts.every(connection)
    screen.show(
        ["account", "opens", "created", "signed in"],
        [
            [printable(each.name), "everything" if each.is_operator else "one person's data",
             _shown(each.created_at), _shown(each.signed_in_at)]
            for each in found
        ],
    )  # fmt: skip
    typer.echo(f"{len(found)} accounts")


@app.command()
def passwd(name: Name, *, password_stdin: FromStdin = False) -> None:
    """Give an account another password; whoever is signed in must sign in again."""
    from music_assets import accounts

    password = _password(from_stdin=password_stdin)
    with given.database(settings()) as connection:
        accounts.set_password(connection, name, password)
    typer.echo("the password is set, and every session of the account has ended")


@app.command()
def remove(name: Name) -> None:
    """Remove an account; the listener and what is kept of them stay."""
    from music_assets import accounts

    with given.database(settings()) as connection:
        accounts.remove(connection, name)
    typer.echo("the account is gone, and so are its sessions")


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _shown(moment: "datetime | None") -> str:
    return "never" if moment is None else moment.isoformat(timespec="seconds")
