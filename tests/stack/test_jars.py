from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from music_assets.stack import jars
from streaming.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two jars as pinned."""
    (tmp_path / "jars").mkdir()
    for name in ("a.jar", "b.jar"):
        (tmp_path / "jars" / name).write_bytes(name.encode())
    return tmp_path / "jars"


@pytest.fixture
def pinned(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_whole_folder_is_not_damaged(folder: Path, pinned: dict[str, str]) -> None:
    assert jars.damaged(folder, pinned) == []


def test_a_truncated_jar_is_found(folder: Path, pinned: dict[str, str]) -> None:
    os.truncate(folder / "a.jar", 2)

    assert jars.damaged(folder, pinned) == ["a.jar"]


def test_a_missing_jar_is_found(folder: Path, pinned: dict[str, str]) -> None:
    (folder / "b.jar").unlink()

    assert jars.damaged(folder, pinned) == ["b.jar"]


def test_a_jar_nobody_pinned_is_found(folder: Path, pinned: dict[str, str]) -> None:
    (folder / "c.jar").touch()

    assert jars.damaged(folder, pinned) == ["c.jar"]


def test_every_pinned_jar_is_there_and_proved(make_settings) -> None:
    root = make_settings().jars_path

    assert {name: jars.damaged(root / name, sums) for name, sums in jars.checksums().items()} == {
        "kafka": [],
        "spark": [],
    }


def test_a_half_fetched_jar_is_fetched_again(tmp_path: Path, make_settings) -> None:
    shutil.copytree(make_settings().jars_path, tmp_path / "jars")
    broken = next((tmp_path / "jars" / "spark").glob("commons-pool2-*.jar"))
    os.truncate(broken, 1000)
    (tmp_path / "jars" / "spark.unfinished" / "jars").mkdir(parents=True)

    assert jars.fetch(tmp_path / "jars") == ["spark"]
    assert jars.damaged(broken.parent, jars.checksums()["spark"]) == []
    assert not (tmp_path / "jars" / "spark.unfinished").exists()
    assert jars.fetch(tmp_path / "jars") == []


def test_jars_that_are_not_the_pinned_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch_something_else(_name: str, unfinished: Path) -> str:
        (unfinished / "jars").mkdir(parents=True)
        (unfinished / "jars" / "evil.jar").touch()
        return ""

    monkeypatch.setattr(jars, "_ivy", fetch_something_else)

    with pytest.raises(StackError, match=r"^jars for .* not fetched or not the pinned ones: "):
        jars.fetch(tmp_path)
    assert not (tmp_path / "kafka").exists()
