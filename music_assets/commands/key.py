"""`music key`: who may ask the API."""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from music_assets.commands import given, screen
from music_assets.settings import settings
from streaming.errors import ConfigurationError
from streaming.printable import printable

if TYPE_CHECKING:
    from datetime import datetime

    from music_assets.keys import Key

app = typer.Typer(no_args_is_help=True, help="Keys of the API.")

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
KeyId = Annotated[str, typer.Argument(help="The id, the middle part of the key.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[list[str], typer.Option(help="ingest, read or admin; can be repeated.")],
    user: Annotated[str | None, typer.Option(help="The only person whose data it opens.")] = None,
    expires: Annotated[str | None, typer.Option(help="After how long, such as 12h or 90d; absent: never.")] = None,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    from music_assets import keys

    lifetime = None if expires is None else _span("--expires", expires)
    with given.database(settings()) as connection:
        typer.echo(keys.create(connection, name=name, scopes=scope, user_id=user, lifetime=lifetime))


@app.command("list")
def list_() -> None:
    """Show every key, without its secret."""
    from datetime import UTC, datetime

    from music_assets import keys

    with given.database(settings()) as connection:
        found = keys.every(connection)
    now = datetime.now(UTC)
    screen.show(
        ["key", "name", "scopes", "bound", "state", "expires", "last used"],
        [
            [key.key_id, printable(key.name), ",".join(key.scopes), "one person" if key.user_id else "",
             _state(key, now), _shown(key.expires_at), _shown(key.last_used_at)]
            for key in found
        ],
    )  # fmt: skip
    typer.echo(f"{len(found)} keys")


@app.command()
def rotate(
    key_id: KeyId,
    grace: Annotated[str, typer.Option(help="How long the old one still opens, such as 0m, 12h or 7d.")] = "24h",
) -> None:
    """Make a key in the place of another and print it."""
    from music_assets import keys

    with given.database(settings()) as connection:
        typer.echo(keys.rotate(connection, key_id, grace=_span("--grace", grace)))


@app.command()
def revoke(key_id: KeyId) -> None:
    """Let a key open nothing any more, within seconds."""
    from music_assets import keys

    with given.database(settings()) as connection:
        keys.revoke(connection, key_id)
    typer.echo(f"{key_id} opens nothing any more")


@app.command()
def audit(limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 50) -> None:
    """Show what was done with keys and to them, the newest first."""
    from music_assets import keys

    with given.database(settings()) as connection:
        found = keys.audit(connection, limit=limit)
    screen.show(["at", "key", "what", ""], [[_shown(at), *rest[:-1], rest[-1] or ""] for at, *rest in found])


def _state(key: "Key", now: "datetime") -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "valid" if key.is_valid(now) else "expired"


def _shown(moment: "datetime | None") -> str:
    return "" if moment is None else moment.isoformat(timespec="seconds")


def _span(option: str, text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if found is None:
        raise ConfigurationError(f"{option} {text!r} is no time span; valid: such as 30m, 12h, 90d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
