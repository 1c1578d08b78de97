"""The command `music warehouse`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from music_assets.commands import given
from music_assets.settings import settings
from streaming.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, help="The warehouse, where it is not the embedded PostgreSQL.")


@app.callback()
def _group() -> None:
    """Keep the commands below `warehouse`."""


@app.command()
def setup(*, dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the SQL.")] = False) -> None:
    """Make role, virtual warehouse, database, schemas and stage in Snowflake."""
    from music_assets.warehouse import snowflake

    if settings().warehouse_target != "snowflake" and not dry_run:
        raise ConfigurationError("WAREHOUSE_TARGET is postgres, which needs no setup; valid here: snowflake")
    for statement in snowflake.statements(settings()):
        typer.echo(f"{statement};")
    if not dry_run:
        snowflake.setup(settings())


@app.command()
def load() -> None:
    """Load silver and what collectors brought into Snowflake."""
    from music_assets.warehouse import snowflake
    from streaming.lake import Lake

    if settings().warehouse_target != "snowflake":
        raise ConfigurationError("WAREHOUSE_TARGET is postgres, which assets `staging/*` load; valid here: snowflake")
    with given.database(settings()) as connection:
        totals = snowflake.load(settings(), connection, Lake(settings().storage))
    for name, rows in totals.items():
        typer.echo(f"{name}: {rows} rows")


@app.command()
def reconcile(
    *, new: Annotated[bool, typer.Option("--new", help="Compare only what came since the last comparison.")] = False
) -> None:
    """Compare lake, staged copies and marts and name what differs; exit code 1 when something does."""
    import psycopg

    from music_assets.warehouse.reconcile import reconcile as compare
    from streaming.lake import Lake

    with given.database(settings()) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        found = compare(connection, Lake(settings().storage), whole=not new)
    for difference in found:
        typer.echo(str(difference))
    if found:
        raise typer.Exit(1)
    typer.echo("lake, staged copies and marts agree")


@app.command()
def dictionary(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("docs/data-dictionary.md"),
) -> None:
    """Write the data dictionary of the marts, as the dbt project describes them."""
    from music_assets.warehouse import dbt
    from music_assets.warehouse.dictionary import render

    file.write_text(render(json.loads(dbt.manifest(settings()).read_text(encoding="utf-8"))), encoding="utf-8")
    typer.echo(f"{file} is written")
