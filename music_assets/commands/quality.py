"""`music quality`: what the checks said, now and before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from music_assets.commands import given, screen
from music_assets.settings import settings

if TYPE_CHECKING:
    from music_assets.quality.results import Result

app = typer.Typer(no_args_is_help=True, help="Results of checks and tests.")


@app.command("list")
def list_results(
    *, failing: Annotated[bool, typer.Option("--failing", help="Only what does not hold.")] = False
) -> None:
    """Show the newest result of every check."""
    from music_assets.quality import results

    with given.database(settings()) as connection:
        found = results.latest(connection)
    shown = [each for each in found if not (failing and each.passed)]
    _show(shown)
    typer.echo(f"{sum(each.passed for each in found)} of {len(found)} checks hold")


@app.command("history")
def show_history(
    asset: Annotated[str, typer.Argument(help="Such as marts/fct_listens.")],
    check: Annotated[str, typer.Argument(help="Its name.")],
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 20,
) -> None:
    """Show the results of one check, the newest first."""
    from music_assets.quality import results

    with given.database(settings()) as connection:
        _show(results.history(connection, asset, check, limit=limit))


def _show(found: list[Result]) -> None:
    screen.show(
        ["asset", "check", "holds", "severity", "owner", "at", "said"],
        [
            [each.asset, each.check_name, "yes" if each.passed else "NO", each.severity, each.owner or "",
             each.evaluated_at.isoformat(timespec="seconds"), each.description or ""]
            for each in found
        ],
    )  # fmt: skip
