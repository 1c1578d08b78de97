"""The other dialect, on a server that speaks Snowflake's protocol: loaded, built and tested by the same project."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from music_assets.defs.staging.assets import staging
from music_assets.resources import PlatformResource
from music_assets.settings import Settings
from music_assets.warehouse import dbt, snowflake
from streaming.lake import Lake
from streaming.storage import Storage
from streaming.tables import tables
from tests.dbt.conftest import plant
from tests.fixtures.ports import free_ports
from tests.warehouse.lakes import write
from tests.warehouse.test_assets import make_definitions, told

if TYPE_CHECKING:
    from collections.abc import Iterator

MARTS = (
    "select count(*), sum(ms_played), count(distinct user_id), sum(date_key) from marts.fct_listens",
    "select sum(plays), sum(views), sum(clicks) from marts.fct_interactions",
    "select count(*), sum(rank), sum(listens) from marts.mart_charts_weekly",
    "select count(*), sum(active_days), sum(streak_days), sum(new_artists) from marts.mart_recap_facts",
    "select count(*), sum(position) from marts.fct_recommendations where listened_within_day",
    "select iso_week from marts.dim_date where date_key = 20241230",
)


def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    port = free_ports()["api_port"]
    process = subprocess.Popen(
        [Path(sys.executable).with_name("fakesnow"), "-s", "-p", str(port)],
        stdout=(tmp_path / "server.log").open("w"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        import socket

        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("localhost", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def build(settings: Settings, folder: Path, *options: str) -> None:
    run = subprocess.run(
        [dbt.EXECUTABLE, "build", "--exclude-resource-type", "unit_test", *options],
        env={**dbt.environment(settings), "DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder)},
        cwd=dbt.PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-6000:]


def snowflake_settings(port: int, database_url: str, home: Path) -> Settings:
    return Settings(
        _env_file=None, music_home=home, database_url=database_url, warehouse_target="snowflake",
        snowflake_account="fakesnow", snowflake_user="fake", snowflake_private_key=private_key(),
        snowflake_host="localhost", snowflake_port=port, snowflake_protocol="http",
    )  # fmt: skip


def make_schemas(settings: Settings) -> None:
    """What `setup` makes, but for roles and grants, which the stand-in does not know."""
    with snowflake.connect(settings) as cursor:
        for statement in (f"create database if not exists {settings.snowflake_database}", *snowflake.objects(settings)):
            cursor.execute(statement)


def load_both(other: Settings, database_url: str, lake: Lake) -> tuple[dict[str, int], dict[str, int]]:
    """Load the planted lake into PostgreSQL and twice into the other; returns rows by table of both times."""
    from music_assets.warehouse import load_table

    plant(lake)
    make_schemas(other)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into source.artists values ('lastfm', 'artist:1', 'One', null, 70, 1, 1, 'recorded', now()) "
            "on conflict do nothing"
        )
        connection.execute("delete from ops.load_watermark where table_name like 'snowflake/%'")
        for table in tables().values():
            if table.layer == "silver":
                load_table(connection, lake, table)
        return snowflake.load(other, connection, lake), snowflake.load(other, connection, lake)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "again", [pytest.param([], id="first"), pytest.param([["--full-refresh"]], id="refreshed", marks=pytest.mark.heavy)]
)
def test_the_same_models_give_the_same_marts(
    server: int, database_url: str, tmp_path: Path, again: list[list[str]]
) -> None:
    postgres = Settings(_env_file=None, database_url=database_url)
    other = snowflake_settings(server, database_url, tmp_path)
    totals, twice = load_both(other, database_url, Lake(Storage.local(tmp_path / "lake")))
    assert totals["silver/events_listens"] == twice["silver/events_listens"] == 7

    build(postgres, tmp_path / "p")
    for options in ([], *again):
        build(other, tmp_path / "s", *options)

    def answers(execute: Any) -> list[list[float | str]]:
        found = [list(execute(query).fetchall()[0]) for query in MARTS]
        return [[value if isinstance(value, str) else float(value or 0) for value in row] for row in found]

    with psycopg.connect(database_url) as connection, snowflake.connect(other) as cursor:
        assert answers(cursor.execute) == answers(connection.execute)


class Platform(PlatformResource):
    """The parts of one test."""

    home: str
    database: str
    port: int

    def settings(self) -> Settings:
        return snowflake_settings(self.port, self.database, Path(self.home))


@pytest.mark.slow
def test_the_staging_assets_load_there(server: int, database_url: str, tmp_path: Path) -> None:
    platform = Platform(home=str(tmp_path), database=database_url, port=server)
    make_schemas(platform.settings())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("delete from ops.load_watermark where table_name like 'snowflake/%'")
    write(platform.lake(), "events_views", {"event_id": "v1"}, {"event_id": "v2"})

    result = dg.materialize(
        [staging], resources={"platform": platform}, selection=[dg.AssetKey(["staging", "events_views"])]
    )

    (made,) = result.asset_materializations_for_node("staging")
    assert made.metadata["dagster/row_count"].value == 2
    assert snowflake.count(platform.settings(), "silver.events_views") == 2


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_the_assets_of_dbt_are_built_tested_counted_and_traced_there(
    server: int, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(home=str(tmp_path), database=database_url, port=server)
    monkeypatch.setattr("music_assets.defs.warehouse.assets.settings", platform.settings)
    load_both(platform.settings(), database_url, platform.lake())
    job = make_definitions(platform).resolve_implicit_global_asset_job_def()

    result = job.execute_in_process(raise_on_error=False)

    success, rows, checks = told(result)
    assert success
    assert {name for name, passed in checks.items() if not passed} == set()
    assert (rows["marts/fct_listens"], rows["marts/dim_time"], rows["marts/mart_recap_facts"]) == (6, 1440, 3)
    (facts,) = [
        event.materialization
        for event in result.all_events
        if event.is_step_materialization and event.materialization.asset_key.path[-1] == "mart_recap_facts"
    ]
    lineage = facts.metadata["dagster/column_lineage"].value
    assert isinstance(lineage, dg.TableColumnLineage)
    (minutes,) = lineage.deps_by_column["minutes"]
    assert (minutes.asset_key.path[-1], minutes.column_name) == ("fct_listens", "ms_played")


def test_setup_names_everything_once() -> None:
    settings = Settings(_env_file=None, snowflake_user="me", snowflake_database="SOUND")

    said = snowflake.statements(settings)

    assert "create database if not exists SOUND" in said
    assert [line for line in said if "stage" in line] == ["create stage if not exists silver.incoming"]
    assert all("if not exists" in line or line.startswith(("grant", "use")) for line in said)
