"""The commands `music import KIND PATH`, `music import list|show|queued`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer

from music_assets.commands import screen
from music_assets.settings import settings
from streaming.errors import IntegrityError
from streaming.printable import printable

if TYPE_CHECKING:
    from music_assets.sources.import_table import Import

app = typer.Typer(no_args_is_help=True, help="Files of plays and of tracks.")

_KINDS: Final = {
    "spotify": "Spotify's streaming history: the zip archive, a folder or one JSON file.",
    "lastfm": "Last.fm scrobbles as JSON pages or as CSV.",
    "listenbrainz": "ListenBrainz listens: the zip archive, .jsonl or .json.",
    "csv": "CSV with columns for time, artist and title.",
    "radio": "Radio plays: radio,date,time,title,artist.",
}

PathArgument = Annotated[Path, typer.Argument(help="The file; a folder or zip archive of such files as well.")]
User = Annotated[str | None, typer.Option(help="Whose plays they are, as the API knows them.")]
Zone = Annotated[str, typer.Option(help="Time zone of times without one, such as Europe/Brussels.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what is in the file.")]


def _command(kind: str) -> Callable[..., None]:
    def carry_out(path: PathArgument, *, user: User = None, zone: Zone = "UTC", dry_run: DryRun = False) -> None:
        if dry_run:
            _preview(kind, path, user, zone)
        else:
            _import(kind, path, user, zone)

    return carry_out


for _kind, _help in _KINDS.items():
    app.command(_kind, help=f"Import {_help}")(_command(_kind))


@app.command("kaggle_tracks")
def kaggle_tracks(path: PathArgument) -> None:
    """Import tables of Spotify tracks with their audio features."""
    _import("kaggle_tracks", path, None, "UTC")


def _preview(kind: str, path: Path, user: str | None, zone: str) -> None:
    from music_assets.sources.imports import preview

    found = preview(kind, path, user=user, zone=zone)
    between = f", {found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}" if found.first and found.last else ""
    typer.echo(f"{found.plays:,} plays{between}; nothing was sent")
    _show_counts([["skipped", "", reason, count] for reason, count in found.skipped.most_common()])
    _show_counts([["rejected", name, reason, count] for (name, reason), count in found.rejected.most_common()])


def _show_counts(rows: list[list[Any]]) -> None:
    if rows:
        screen.show(["what", "field", "reason", "records"], rows)


def _import(kind: str, path: Path, user: str | None, zone: str) -> None:
    from music_assets.sources import imports

    record = imports.hand_in(settings(), kind, path, user=user, zone=zone)
    if record.status == "done":
        typer.echo(f"already imported: {_sentence(record)}")
        return
    if record.position:
        typer.echo(f"goes on behind record {record.position:,}")
    done = imports.carry_out(settings(), record, path, progress=_progress)
    typer.echo(f"imported: {_sentence(done)}")
    _show_reasons(done)


def _progress(record: "Import") -> None:
    typer.echo(f"{record.position:,} records: {record.accepted:,} accepted, {record.rejected:,} rejected", err=True)


def _sentence(record: "Import") -> str:
    counts = f"{record.accepted:,} accepted, {record.rejected:,} rejected, {record.skipped:,} skipped"
    return f"{record.file_name}, {counts} (import {record.import_id})"


def _show_reasons(record: "Import") -> None:
    from music_assets.sources import import_table, imports

    with imports.connect(settings()) as connection:
        found = import_table.reasons(connection, record)
    _show_counts([["rejected", *row] for row in found])


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="Imports at most.")] = 20,
) -> None:
    """List imports, the newest first."""
    from music_assets.sources import import_table, imports

    with imports.connect(settings()) as connection:
        found = import_table.newest(connection, limit=limit)
    screen.show(
        ["import", "kind", "file", "status", "records", "accepted", "rejected", "skipped", "handed in"],
        [
            [each.import_id, each.kind, printable(each.file_name), each.status, each.position, each.accepted,
             each.rejected, each.skipped, each.created_at.isoformat(timespec="seconds")]
            for each in found
        ],
    )  # fmt: skip


@app.command()
def show(import_id: Annotated[UUID, typer.Argument(help="Its id.")]) -> None:
    """Show an import, and why records of it were rejected."""
    from music_assets.sources import import_table, imports

    with imports.connect(settings()) as connection:
        record = import_table.get(connection, import_id)
    typer.echo(f"{record.status}: {_sentence(record)}{f'; {record.error}' if record.error else ''}")
    _show_reasons(record)


@app.command()
def queued() -> None:
    """Carry out the imports that came through the API and wait."""
    from music_assets.sources import imports

    ended = imports.carry_out_waiting(settings(), progress=_progress)
    for record in ended:
        typer.echo(f"{record.status}: {_sentence(record)}")
    typer.echo(f"{len(ended)} imports")
    if failed := [record for record in ended if record.status != "done"]:
        raise IntegrityError(f"{len(failed)} imports are not done: {failed[0].error or 'another process is at it'}")
