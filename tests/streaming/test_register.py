"""The register of personal data names every place that exists, and none that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
import pytest

from streaming.register import IMPERSONAL, REGISTER
from streaming.tables import Table, tables
from tests.streaming.conftest import BRONZE, Platform, event

if TYPE_CHECKING:
    from pathlib import Path

PERSONAL = {(entry.store, entry.field) for entry in REGISTER}


def store(table: Table) -> str:
    return table.id if table.layer == "lake" else table.layer


def can_hold_text(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return can_hold_text(kind.value_type)
    return not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_boolean(kind)
    )


def columns() -> set[tuple[str, str]]:
    return {
        (store(table), field.name) for table in tables().values() for field in table.schema if can_hold_text(field.type)
    }


def test_every_column_that_can_hold_text_is_in_one_of_the_lists() -> None:
    impersonal = {(name, field) for name, fields in IMPERSONAL.items() for field in fields}
    assert not PERSONAL & impersonal
    assert columns() - PERSONAL == impersonal
    elsewhere = {name for name, _ in PERSONAL - columns()}
    others = ("_checkpoints/", "identity/")
    assert all(name in {"kafka", "redis"} or name.startswith(others) for name in elsewhere), elsewhere


def test_every_table_of_who_is_who_is_known(database_url: str) -> None:
    """A table beside these holds nothing of a person: the audit has ids that lead nowhere, the pepper is random."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select tablename from pg_tables where schemaname = 'identity'").fetchall()
    named = {name.removeprefix("identity/") for name, _ in PERSONAL if name.startswith("identity/")}
    assert {name for (name,) in rows} - {"api_audit", "pepper"} == named


def test_no_personal_column_has_statistics_that_outlive_its_rows() -> None:
    for table in tables().values():
        assert not {field for name, field in PERSONAL if name == store(table)} & set(table.skip_columns), table.id


@pytest.mark.spark
def test_every_folder_of_the_lake_is_known(platform: Platform) -> None:
    """After work there is nothing below the lake but tables, the register's folders and what holds offsets only."""
    platform.put("events_listens", event(1))
    platform.run()
    platform.run(BRONZE)
    root = platform.settings.storage.folder
    known = {root / table.id for table in tables().values()}
    known |= {root / entry.store for entry in REGISTER if entry.store.startswith("_checkpoints/")}
    unknown = [path for path in files(root) if not known & set(path.parents)]
    assert [str(path) for path in unknown if not only_offsets(path, root)] == []


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def only_offsets(path: Path, root: Path) -> bool:
    """Spark's checkpoint, the pointer to it, the lease and silver's brake."""
    relative = path.relative_to(root / "_checkpoints")
    return len(relative.parts) == 1 or relative.name in {"current.json"} or "spark" in relative.parts
