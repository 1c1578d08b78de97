"""`music model` as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from music_assets.cli import main
from music_assets.recommender import bundle
from streaming.errors import ConfigurationError, MusicError, UnavailableError
from tests.recommender.test_releases import days

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from music_assets.settings import Settings


@pytest.fixture
def root(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = make_settings()
    monkeypatch.setattr("music_assets.commands.model.settings", lambda: settings)
    return settings.model_root


def music(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["model", *arguments])
    if result.exception:
        raise result.exception
    return result.stdout


def test_list_show_rollback_and_promote(root: Path) -> None:
    first, second = days(root, 2)
    lines = music("list").splitlines()
    facts = ["ease", second_of(second), "1970-01-01T00:00:00+00:00", "0.5000"]
    assert lines[1].split() == [second, *facts, "champion,", "released"]
    assert lines[2].split()[-1] == "previous"
    assert lines[-1] == "2 models"
    assert music("rollback").strip() == f"{first} serves again; {second} is withdrawn until somebody promotes it"
    assert "withdrawn" in music("list").splitlines()[1]
    shown = music("show")
    assert first in shown
    assert "every file is as written, and it gives its known answers" in shown
    assert music("promote", second).strip() == f"{second} serves, before {first}"
    assert music("challenger", first).strip() == f"{first} is tried beside the champion, before none"
    assert bundle.pointer(root, "challenger") == first
    music("challenger", "none")
    assert bundle.pointer(root, "challenger") is None


def second_of(version: str) -> str:
    day, time = version[:8], version[9:15]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}"


def test_refusals_say_what_would_do(root: Path) -> None:
    assert music("list").strip().endswith("0 models")
    for arguments, error, told in [
        (["show"], UnavailableError, "no model serves yet"),
        (["promote", "x"], ConfigurationError, "valid: none yet"),
        (["rollback"], UnavailableError, "valid: none yet"),
    ]:
        with pytest.raises(error, match=told):
            music(*arguments)
    [only] = days(root, 1)
    for arguments in (["show", "x"], ["promote", "x"], ["challenger", "x"]):
        with pytest.raises(MusicError, match=f"there is no model 'x'; valid: {only}"):
            music(*arguments)


def test_a_damaged_model_is_shown_as_such(root: Path) -> None:
    [only] = days(root, 1)
    (root / only / "names.json").write_text("{}")
    assert "damaged" in music("list")
    assert "its names.json is not what was written" in music("show")
