"""`music import` as a person types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from music_assets.commands.imports import app
from music_assets.settings import Settings, child_environment
from music_assets.sources.imports import ALL_KINDS
from tests.conftest import ROOT, MakeSettings
from tests.sources.test_imports import history


@pytest.fixture
def settings(make_settings: MakeSettings, broker: str, database_url: str) -> Settings:
    return make_settings(kafka_bootstrap_servers=broker, database_url=database_url)


def music(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from music_assets.cli import app; app()", "import", *words],
        env={**child_environment(settings), "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_file_is_previewed_imported_and_known(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / f"{uuid4().hex}.json"
    history(path, 100)
    preview = music(settings, "spotify", str(path), "--user", "me", "--dry-run").stdout
    assert "90 plays, 2023-12-31 to 2023-12-31; nothing was sent" in preview
    assert "podcast or audiobook" in preview
    assert path.name not in music(settings, "list").stdout
    done = music(settings, "spotify", str(path), "--user", "me")
    assert done.returncode == 0, done.stderr
    assert f"imported: {path.name}, 90 accepted, 1 rejected, 9 skipped" in done.stdout
    assert "ms_played" in done.stdout
    again = music(settings, "spotify", str(path), "--user", "me").stdout
    assert again.startswith(f"already imported: {path.name}, 90 accepted")
    import_id = again.split("(import ")[1].split(")")[0]
    assert import_id in music(settings, "list").stdout
    assert music(settings, "show", import_id).stdout.startswith("done: ")
    assert music(settings, "queued").stdout == "0 imports\n"


def test_mistakes_are_one_line(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    for words, sentence in (
        (("csv", str(path), "--user", "me"), "a.csv has no column for played_at, artist, title"),
        (("csv", str(tmp_path / "none"), "--user", "me"), "does not exist: give a file, a folder or a zip archive"),
        (("csv", str(path), "--user", "me", "--zone", "Mars"), "there is no time zone 'Mars'"),
        (("lastfm", str(path)), "give a user"),
        (("show", str(uuid4())), "there is no import"),
    ):
        said = music(settings, *words)
        assert said.returncode == 1
        assert sentence in said.stderr
        assert said.stderr.count("\n") == 1


def test_there_is_a_command_for_every_kind() -> None:
    assert {command.name for command in app.registered_commands} >= set(ALL_KINDS)
