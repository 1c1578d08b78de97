"""What a person does with models: list, promote, roll back, try; and what the daily run does afterwards."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from music_assets.recommender import bundle, releases
from music_assets.recommender.manifest import MANIFEST
from streaming.errors import ConfigurationError, IntegrityError, UnavailableError
from tests.recommender.test_bundle import contents

if TYPE_CHECKING:
    from pathlib import Path


def days(root: Path, count: int) -> list[str]:
    """As many daily runs: written, released, followed."""
    versions = []
    for _ in range(count):
        versions.append(bundle.write(root, contents()))
        bundle.release(root, versions[-1])
        releases.follow(root)
    return versions


def test_the_list_tells_roles_facts_and_damage(tmp_path: Path) -> None:
    first, second, third = days(tmp_path, 3)
    releases.challenge(tmp_path, first)
    (tmp_path / first / "model.npz").write_bytes(b"x")
    found = releases.entries(tmp_path)
    assert [each.version for each in found] == [third, second, first]
    assert [each.roles for each in found] == [("champion", "released"), ("previous",), ("challenger",)]
    assert found[0].facts["recipe"] == "ease"
    assert found[0].problem is None
    assert "its model.npz is not what was written" in str(found[2].problem)
    with pytest.raises(ConfigurationError, match=f"valid: {first}, {second}, {third}"):
        releases.entry(tmp_path, "x")
    assert releases.entries(tmp_path / "nowhere") == []


def test_a_rollback_goes_back_and_the_daily_run_does_not_undo_it(tmp_path: Path) -> None:
    first, second = days(tmp_path, 2)
    change = releases.roll_back(tmp_path)
    assert (change.before, change.after) == (second, first)
    assert bundle.champion(tmp_path) == bundle.pointer(tmp_path, "released") == first
    bundle.release(tmp_path, second)
    followed = releases.follow(tmp_path)
    assert followed.after == bundle.champion(tmp_path) == first
    assert f"{second} was rolled back at 20" in str(followed.refused)
    assert releases.entry(tmp_path, second).roles == ("released", "withdrawn")
    like = {"recipe": "ease", "settings": {"strength": 1.0}, "data_until": 2}
    assert getattr(releases.withdrawn_like(tmp_path, **like), "version", None) == second  # type: ignore[arg-type]
    assert releases.withdrawn_like(tmp_path, **(like | {"data_until": 3})) is None  # type: ignore[arg-type]
    [third] = days(tmp_path, 1)
    assert bundle.champion(tmp_path) == third


def test_a_second_rollback_names_what_can_be_promoted(tmp_path: Path) -> None:
    first, second, third = days(tmp_path, 3)
    releases.roll_back(tmp_path)
    with pytest.raises(UnavailableError, match=f"nothing served before {second}.* valid: {first}, {third}"):
        releases.roll_back(tmp_path)
    assert bundle.champion(tmp_path) == second
    with pytest.raises(UnavailableError, match="valid: none yet"):
        releases.roll_back(tmp_path / "new")


def test_a_promotion_by_hand_lasts_and_lifts_a_withdrawal(tmp_path: Path) -> None:
    first, second = days(tmp_path, 2)
    releases.roll_back(tmp_path)
    assert releases.promote(tmp_path, second).before == first
    assert releases.withdrawn(tmp_path) == []
    assert releases.follow(tmp_path).after == second
    assert releases.promote(tmp_path, first).after == first
    assert releases.follow(tmp_path).after == bundle.champion(tmp_path) == first
    assert releases.roll_back(tmp_path).after == second


def test_what_is_damaged_is_neither_promoted_nor_gone_back_to(tmp_path: Path) -> None:
    first, second = days(tmp_path, 2)
    (tmp_path / first / MANIFEST).write_text("{}")
    with pytest.raises(IntegrityError):
        releases.roll_back(tmp_path)
    for move in (releases.promote, releases.challenge):
        with pytest.raises(IntegrityError):
            move(tmp_path, first)
    with pytest.raises(ConfigurationError, match="there is no model 'nonsense'"):
        releases.promote(tmp_path, "nonsense")
    assert bundle.champion(tmp_path) == bundle.pointer(tmp_path, "released") == second
    assert bundle.pointer(tmp_path, "challenger") is None
    assert releases.withdrawn(tmp_path) == []


def test_a_damaged_champion_can_be_taken_back(tmp_path: Path) -> None:
    first, second = days(tmp_path, 2)
    (tmp_path / second / "model.npz").write_bytes(b"x")
    assert releases.roll_back(tmp_path).after == first
    assert releases.entry(tmp_path, second).roles == ("withdrawn",)


def test_a_kill_in_a_rollback_leaves_what_a_second_one_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = days(tmp_path, 2)
    with monkeypatch.context() as broken:
        broken.setattr(bundle, "point", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            releases.roll_back(tmp_path)
    assert bundle.champion(tmp_path) == second
    assert releases.roll_back(tmp_path).after == first
    assert len(json.loads((tmp_path / "withdrawn.json").read_text())) == 1


def test_a_run_and_a_rollback_at_once_end_with_the_rollback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = days(tmp_path, 2)
    read, go = threading.Event(), threading.Event()
    load = bundle.load

    def slow(root: Path, version: str) -> bundle.Bundle:
        if threading.current_thread().name == "run":
            read.set()
            go.wait(5)
        return load(root, version)

    monkeypatch.setattr(bundle, "load", slow)
    run = threading.Thread(target=releases.follow, args=(tmp_path,), name="run")
    run.start()
    assert read.wait(5)
    back = threading.Thread(target=releases.roll_back, args=(tmp_path,))
    back.start()
    back.join(0.3)
    assert back.is_alive(), "the rollback waits for the run"
    go.set()
    run.join()
    back.join()
    assert bundle.champion(tmp_path) == first
    assert bundle.pointer(tmp_path, "released") != second


def test_nothing_released_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="materialise recommender/champion first"):
        releases.follow(tmp_path)


def test_a_challenger_is_tried_and_ended_and_kept_from_pruning(tmp_path: Path) -> None:
    first, *_ = days(tmp_path, 3)
    assert releases.challenge(tmp_path, first) is None
    assert bundle.prune(tmp_path, keep=1) == []
    assert releases.challenge(tmp_path, None) == first
    assert bundle.prune(tmp_path, keep=1) == [first]
