"""Measures the warehouse: a whole build from the lake to the marts, and builds of what is new, as history grows."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql
from pydantic import SecretStr

from music_assets.bench.history import silver_rows
from music_assets.bench.workload import World
from music_assets.stack.process import in_background
from music_assets.warehouse import dbt, load_table
from streaming.errors import IntegrityError
from streaming.lake import Lake
from streaming.sinks.tables import Write, append_arrow
from streaming.tables import UTC_MICROSECONDS, silver, tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from music_assets.settings import Settings
    from streaming.tables import Table

NEW: Final = 10_000
_CHUNK: Final = 500_000
_DOWNSTREAM: Final = ("--select", "source:silver.events_listens+", "source:source.item_links+")
"""What a run builds after listens moved (sensor `silver_moved`)."""

_ROWS_A_DAY: Final = 33_000
"""Density of the history: a longer one is of more days, not of fuller ones."""
_ARTISTS: Final = 2_000


def measure(chosen: Settings, sizes: list[int], folder: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return the seconds of each step for histories of so many listens, in databases of their own.

    Beside them stand the MiB that PostgreSQL looked at, in its cache or not: they do not depend on what else runs.

    Args:
        chosen: settings of a running PostgreSQL.
        sizes: listens before the builds.
        folder: for the lakes and dbt's files.
        say: is told each figure.
    """
    return [_one(fresh(chosen, size, folder), size, folder / _name(size), say) for size in sizes]


def _name(size: int) -> str:
    return f"bench_{size}"


def fresh(chosen: Settings, size: int, folder: Path) -> Settings:
    """Return settings of an empty lake below a folder and an empty database, both named after a size.

    Args:
        chosen: settings of a running PostgreSQL.
        size: listens that will lie there.
        folder: for the lake and dbt's files.
    """
    from music_assets.migrations import upgrade

    name = _name(size)
    with psycopg.connect(chosen.database, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    mine = chosen.model_copy(update={
        "music_home": folder / name, "lakehouse_path": "",
        "database_url": SecretStr(f"{chosen.database.rsplit('/', 1)[0]}/{name}"),
    })  # fmt: skip
    upgrade(mine.database)
    Lake(mine.storage).create_all()
    return mine


def filled(chosen: Settings, size: int) -> World:
    """Put so many listens and the songs they are of into a fresh lake, and load them; return the world they are of."""
    world = _history(chosen, size)
    _load(chosen, Lake(chosen.storage))
    return world


def _history(chosen: Settings, size: int) -> World:
    world = World(seed=7, anchor=datetime.now(UTC), span_seconds=size / _ROWS_A_DAY * 86_400)
    for version, first in enumerate(range(0, size, _CHUNK), start=1):
        listens = silver("events_listens")
        _append(chosen, _rows(world, listens, first, min(_CHUNK, size - first)), listens, version)
    _append(chosen, _songs(world), silver("catalog_songs"), 1)
    return world


def _append(chosen: Settings, rows: pa.Table, table: Table, version: int) -> None:
    write = Write(expected={table.name: version - 1 or None}, leaves={table.name: version}, note={})
    append_arrow(rows, table, chosen.storage, write=write)


def _one(chosen: Settings, size: int, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    figures: dict[str, Any] = {"listens": size}

    def timed(step: str, work: Callable[[], object]) -> None:
        started, before = time.perf_counter(), _blocks(chosen)
        work()
        figures[step] = round(time.perf_counter() - started, 2)
        figures[f"{step}_mib"] = (_blocks(chosen) - before) // 128
        say(f"{size:,} listens: {step} {figures[step]} s, {figures[f'{step}_mib']:,} MiB")

    lake, listens, world = Lake(chosen.storage), silver("events_listens"), _history(chosen, size)
    timed("bare_copy", lambda: _bare_copy(chosen, lake.read(listens)))
    timed("load", lambda: _load(chosen, lake))
    timed("full_build", lambda: build(chosen, folder))
    dbt.parse(chosen, folder / "dbt")  # the assets hand a build the parsed project
    for batch in range(2):
        new = _rows(world, listens, size + batch * NEW, NEW, fresh=True)
        _append(chosen, new, listens, -(-size // _CHUNK) + 1 + batch)
        timed(f"load_new_{batch + 1}", lambda: _load(chosen, lake))
        timed(f"build_new_{batch + 1}", lambda: build(chosen, folder, *dbt.NEWEST_ALONE, *_DOWNSTREAM))
    figures["slowest"] = _slowest(folder)
    return figures


def _blocks(chosen: Settings) -> int:
    """Blocks of 8 KiB that all sessions looked at so far; those that ended have told it."""
    with psycopg.connect(chosen.database) as connection:
        row = connection.execute(
            "select blks_hit + blks_read from pg_stat_database where datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0


def _rows(world: World, table: Table, first: int, count: int, *, fresh: bool = False) -> pa.Table:
    """Listens by number; fresh ones happened within the last hour."""
    numbers = np.arange(first, first + count, dtype=np.int64)
    columns = world.columns(numbers)
    columns = type(columns)(**{**vars(columns), "kind": np.zeros(count, np.int64)})
    if fresh:
        micros = int(world.anchor.timestamp() * 1_000_000) - (numbers * 7_919 % 3_600) * 1_000_000
        columns = type(columns)(**{**vars(columns), "micros": micros})
    return silver_rows(world, columns, table, offset=numbers)


def _songs(world: World) -> pa.Table:
    table = silver("catalog_songs")
    ids = [f"track:{number}" for number in range(world.items + 1)]
    known: dict[str, Any] = {
        "item_id": ids, "name": [f"Song {item}" for item in ids], "schema_version": [1] * len(ids),
        "artist_id": [f"artist:{number % _ARTISTS}" for number in range(len(ids))], "source": ["bench"] * len(ids),
        "duration_ms": [200_000] * len(ids), "kafka_topic_id": ["bench"] * len(ids), "kafka_partition": [0] * len(ids),
        "kafka_offset": list(range(len(ids))), "ingested_at": [world.anchor] * len(ids),
        "updated_at": [world.anchor] * len(ids),
    }  # fmt: skip
    return pa.table(
        {
            field.name: pa.array(known.get(field.name, [None] * len(ids)), UTC_MICROSECONDS
                                 if pa.types.is_timestamp(field.type) else field.type)
            for field in table.schema
        },
        schema=table.schema,
    )  # fmt: skip


def _load(chosen: Settings, lake: Lake) -> None:
    with psycopg.connect(chosen.database) as connection:
        for table in tables().values():
            if table.layer == "silver":
                load_table(connection, lake, table)


def _bare_copy(chosen: Settings, rows: pa.Table) -> None:
    """Copy the same rows as CSV into a table without key and index: what PostgreSQL takes for the bytes alone."""
    names = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in rows.schema.names)
    with psycopg.connect(chosen.database) as connection:
        connection.execute(sql.SQL("create temporary table bare ({})").format(names))
        with connection.cursor().copy("copy bare from stdin (format csv)") as copy:
            for batch in rows.to_batches():
                buffer = io.BytesIO()
                pyarrow.csv.write_csv(batch, buffer, pyarrow.csv.WriteOptions(include_header=False))
                copy.write(buffer.getbuffer())


def build(chosen: Settings, folder: Path, *options: str) -> None:
    """Run `dbt build` as the assets do.

    Raises:
        IntegrityError: it fails.
    """
    import subprocess

    target = folder / "dbt"
    run = subprocess.run(
        in_background((str(dbt.EXECUTABLE), "--quiet", "build", "--exclude-resource-type", "unit_test", *options)),
        env={**dbt.environment(chosen), "DBT_TARGET_PATH": str(target), "DBT_LOG_PATH": str(target)},
        cwd=dbt.PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.returncode:
        raise IntegrityError(f"dbt build failed: {run.stdout[-2000:]}")


def _slowest(folder: Path) -> dict[str, float]:
    """The ten slowest nodes of the newest build, in seconds."""
    results = json.loads((folder / "dbt" / "run_results.json").read_text())["results"]
    slowest = sorted(results, key=lambda result: -result["execution_time"])[:10]
    return {result["unique_id"].split(".", 2)[2]: round(result["execution_time"], 2) for result in slowest}
