"""`music model`: which model serves, which did, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from music_assets.commands import screen
from music_assets.settings import settings
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from music_assets.recommender.releases import Entry

app = typer.Typer(no_args_is_help=True, help="Models that serve or did.")

Version = Annotated[str, typer.Argument(help="As `music model list` names it.")]


@app.command("list")
def list_models() -> None:
    """List the model bundles, the newest first."""
    from music_assets.recommender import releases

    found = releases.entries(settings().model_root)
    screen.show(
        ["version", "recipe", "created", "data until", "NDCG@10", "role"],
        [[each.version, *_facts(each), ", ".join(each.roles)] for each in found],
    )
    typer.echo(f"{len(found)} models")


@app.command()
def show(version: Annotated[str, typer.Argument(help="By default the champion.")] = "") -> None:
    """Show what a model is made of, how it was measured, and whether its files are as written."""
    from music_assets.recommender import bundle, releases

    root = settings().model_root
    chosen = version or bundle.champion(root)
    if chosen is None:
        raise UnavailableError("no model serves yet: materialise recommender/champion and online/bundle first")
    entry = releases.entry(root, chosen)
    names = ("recipe", "created_at", "settings", "metrics", "cutoff", "data_until", "retrieval")
    facts = [[name, str(entry.facts[name])] for name in names if name in entry.facts]
    roles = ", ".join(entry.roles) or "none"
    screen.show(["", ""], [["version", entry.version], ["role", roles], *facts])
    if entry.problem is None:
        bundle.load(root, entry.version)
    typer.echo(entry.problem or "every file is as written, and it gives its known answers")


@app.command()
def promote(version: Version) -> None:
    """Let a model serve after a look at its files and known answers; the API follows without a restart."""
    from music_assets.recommender import releases

    change = releases.promote(settings().model_root, version)
    typer.echo(f"{change.after} serves, before {change.before or 'none'}")


@app.command()
def rollback() -> None:
    """Let the model before this one serve again; the one taken back comes back only by promote."""
    from music_assets.recommender import releases

    change = releases.roll_back(settings().model_root)
    typer.echo(f"{change.after} serves again; {change.before} is withdrawn until somebody promotes it")


@app.command()
def challenger(version: Annotated[str, typer.Argument(help="As `music model list` names it, or none.")]) -> None:
    """Let a model be tried beside the champion, as EXPERIMENT says; `none` ends it."""
    from music_assets.recommender import releases

    chosen = None if version == "none" else version
    before = releases.challenge(settings().model_root, chosen)
    typer.echo(f"{version} is tried beside the champion, before {before or 'none'}")


def _facts(entry: Entry) -> list[str]:
    if entry.problem is not None:
        return ["damaged", "", "", ""]
    until = datetime.fromtimestamp(entry.facts["data_until"] / 1e6, UTC).isoformat(timespec="seconds")
    ndcg = entry.facts["metrics"].get("ndcg@10")
    return [entry.facts["recipe"], entry.facts["created_at"][:19], until, "" if ndcg is None else f"{ndcg:.4f}"]
