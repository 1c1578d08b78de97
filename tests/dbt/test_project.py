"""The project as written: its sources are the lake's tables, its models say what they are, it parses when it must."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from music_assets.settings import Settings
from music_assets.warehouse import dbt
from music_assets.warehouse.dictionary import render
from music_assets.warehouse.schema import LOAD_ID, postgres_type
from streaming.tables import Table, tables

SILVER = [table for table in tables().values() if table.layer == "silver"]


@cache
def sources() -> dict[str, Any]:
    path = dbt.PROJECT / "models" / "staging" / "silver" / "_silver__sources.yml"
    (source,) = yaml.safe_load(path.read_text())["sources"]
    assert source["name"] == source["schema"] == "silver"
    return {table["name"]: table for table in source["tables"]}


@cache
def manifest() -> dict[str, Any]:
    return json.loads(dbt.manifest(Settings(_env_file=None)).read_text())


def models() -> list[dict[str, Any]]:
    return [node for node in manifest()["nodes"].values() if node["resource_type"] == "model"]


def test_the_data_dictionary_is_what_the_project_says() -> None:
    written = (dbt.PROJECT.parent / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    assert written == render(manifest()), "run `music warehouse dictionary`"


def test_every_silver_table_is_a_source() -> None:
    assert sources().keys() == {table.name for table in SILVER}


@pytest.mark.parametrize("table", SILVER, ids=lambda table: table.name)
def test_a_source_has_the_columns_of_its_table(table: Table) -> None:
    source = sources()[table.name]

    assert {column["name"]: column["data_type"] for column in source["columns"]} == {
        **{field.name: postgres_type(field.type) for field in table.schema},
        LOAD_ID: "bigint",
    }
    assert all(column["description"] for column in source["columns"])
    assert source["description"] == table.grain
    assert source["config"]["meta"]["dagster"]["asset_key"] == ["staging", table.name]


def test_every_model_says_its_grain_and_describes_every_column() -> None:
    for model in models():
        assert ", one row per " in model["description"], model["name"]
        assert all(column["description"] for column in model["columns"].values()), model["name"]


def test_every_model_tests_what_identifies_a_row() -> None:
    tests = [node for node in manifest()["nodes"].values() if node["resource_type"] == "test"]
    unique = {
        test["attached_node"] for test in tests if test.get("test_metadata", {}).get("name", "").startswith("unique")
    }

    assert {model["unique_id"] for model in models()} == unique


def test_every_mart_enforces_its_contract() -> None:
    marts = [model for model in models() if model["schema"] == "marts"]

    assert len(marts) == 23
    assert all(mart["config"]["contract"]["enforced"] for mart in marts)


def test_models_are_clean_by_sqlfluff() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("sqlfluff"), "lint", "dbt_project/models", *dbt.PROJECT.glob("tests/*.sql")],
        cwd=dbt.PROJECT.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert run.returncode == 0, run.stdout


def test_the_project_is_parsed_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    for name in ("dbt_project.yml", "profiles.yml"):
        (project / name).write_text((dbt.PROJECT / name).read_text())
    (project / "models" / "one.sql").write_text("select 1 as one")
    monkeypatch.setattr(dbt, "PROJECT", project)
    monkeypatch.setattr(dbt, "_TARGET", project / "target")

    def parsed() -> tuple[int, int]:
        path = dbt.manifest(Settings(_env_file=None))
        return path.stat().st_mtime_ns, len(json.loads(path.read_text())["nodes"])

    first, second = parsed(), parsed()
    (project / "models" / "two.sql").write_text("select 2 as two")
    third = parsed()

    assert first == second
    assert (first[1], third[1]) == (1, 2)

    folder = tmp_path / "build"
    folder.mkdir()
    dbt.hand_parsed(Settings(_env_file=None), folder)
    dbt._dbt(Settings(_env_file=None), str(folder), "list", *dbt.NEWEST_ALONE)
    log = (folder / "dbt.log").read_text()
    assert "Partial parsing enabled" in log
    assert "Unable to do partial parsing" not in log, "a build of what is new parses the project once more"


def test_a_password_and_a_socket_reach_dbt() -> None:
    settings = Settings(_env_file=None, database_url="postgresql://me:p%40ss%2F@db.example:6543/music?sslmode=require")

    environment = dbt.environment(settings)

    assert environment["DBT_ENV_SECRET_POSTGRES_PASSWORD"] == "p@ss/"
    assert (environment["DBT_POSTGRES_HOST"], environment["DBT_POSTGRES_PORT"]) == ("db.example", "6543")
    assert (environment["DBT_POSTGRES_USER"], environment["DBT_POSTGRES_DB"]) == ("me", "music")
    assert environment["DBT_POSTGRES_SSLMODE"] == "require"
