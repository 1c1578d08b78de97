"""`music identity`: what the rules take for one artist or track, and a person's verdict on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from music_assets.commands import given, screen
from music_assets.settings import settings

if TYPE_CHECKING:
    from music_assets.resolution.links import Link

app = typer.Typer(no_args_is_help=True, help="Which ids mean one artist or track.")

Item = Annotated[str, typer.Argument(help="The id that leads elsewhere, such as artist:abba-1.")]
Canonical = Annotated[str, typer.Argument(help="The id that stands for both.")]
Who = Annotated[str, typer.Option(help="Who says so, for the history.")]


@app.command("find")
def find_matches() -> None:
    """Compare all names again and bring the computed links up to date."""
    from music_assets.resolution import catalogue, links

    with given.database(settings()) as connection:
        changes = links.record(connection, catalogue.find(connection))
    typer.echo(f"{changes.active} links active, {changes.proposed} proposed")
    typer.echo(f"{changes.written} written, {changes.removed} removed")


@app.command("list")
def list_links(
    status: Annotated[str, typer.Option(help="active, proposed or rejected.")] = "proposed",
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 50,
) -> None:
    """Show links, the surest first; `proposed` is what waits for a verdict."""
    from music_assets.resolution import links
    from streaming.errors import ConfigurationError

    if status not in ("active", "proposed", "rejected"):
        raise ConfigurationError(f"status must be active, proposed or rejected, not {status!r}")
    with given.database(settings()) as connection:
        found = [link for link in links.read(connection).values() if link.status == status]
    found.sort(key=lambda link: (-link.confidence, link.item_id))
    _show(found[:limit])
    typer.echo(f"{min(limit, len(found))} of {len(found)}")


@app.command()
def accept(item_id: Item, canonical_id: Canonical, by: Who) -> None:
    """Say that two ids mean one item."""
    from music_assets.resolution import links

    with given.database(settings()) as connection:
        _show([links.decide(connection, item_id, canonical_id, same=True, by=by)])


@app.command()
def reject(item_id: Item, canonical_id: Canonical, by: Who) -> None:
    """Say that two ids mean different items: no rule links them again."""
    from music_assets.resolution import links

    with given.database(settings()) as connection:
        _show([links.decide(connection, item_id, canonical_id, same=False, by=by)])


@app.command()
def undo(item_id: Item, by: Who) -> None:
    """Take back the link of an id."""
    from music_assets.resolution import links

    with given.database(settings()) as connection:
        _show([links.undo(connection, item_id, by=by)])


def _show(found: list[Link]) -> None:
    screen.show(
        ["item", "stands for it", "method", "confidence", "status", "decided by"],
        [
            [link.item_id, link.canonical_id, link.method, link.confidence, link.status, link.decided_by]
            for link in found
        ],
    )
