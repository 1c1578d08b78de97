"""An erasure, a rebuild that was killed and upkeep: none brings back what another removed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from streaming import upkeep
from streaming.errors import TimeoutExpiredError, UnavailableError
from streaming.jobs import erase as erasure
from streaming.jobs.erase import erase_once
from streaming.jobs.lease import FILES, lease
from streaming.repair.rebuild import rebuild_silver
from streaming.repair.switch import staged
from streaming.upkeep import tend_all
from tests.streaming.conftest import Platform, recreate_topics
from tests.streaming.scanner import scan
from tests.streaming.test_erase import NEEDLES, PERSON, assert_gone, everything, of_others, plant, run
from tests.streaming.test_rebuild import kill
from tests.streaming.test_silver import Killed

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.conftest import MakeSettings


@pytest.fixture
def platform(broker: str, redis_url: str, make_settings: MakeSettings) -> Platform:
    recreate_topics(broker)
    settings = make_settings(kafka_bootstrap_servers=broker, redis_url=redis_url, stream_engine="python")
    return Platform(settings, None)  # type: ignore[arg-type]


def killed_rebuild(platform: Platform, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    with monkeypatch.context() as patch:
        kill(patch, place)
        with pytest.raises(Killed):
            rebuild_silver(platform.settings)


@pytest.mark.parametrize("place", ["build", "journal", "claims", "silver", "ledger", "end"])
def test_an_erasure_after_a_rebuild_that_was_killed_leaves_nothing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    plant(platform)
    run(platform)
    before = everything(platform)
    killed_rebuild(platform, monkeypatch, place)
    if place != "end":
        assert scan(staged(platform.settings).storage.folder, NEEDLES), "the rebuild's own lake holds the listener"
    receipt = erase_once([PERSON], "request", platform.settings, None)
    assert receipt.rows["silver/events_listens"] == 3
    assert not staged(platform.settings).storage.folder.exists()
    assert_gone(platform)
    assert everything(platform) == of_others(before)
    assert rebuild_silver(platform.settings).differences == []
    assert_gone(platform)


def files_lease(platform: Platform) -> AbstractContextManager[None]:
    return lease(platform.settings, FILES, spark=None, timeout=0)


def test_upkeep_an_erasure_and_a_rebuild_take_turns(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(platform)
    run(platform)
    monkeypatch.setattr(upkeep, "_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(erasure, "LEASE_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr("streaming.repair.rebuild._LEASE_SECONDS", 0.2)
    real = erasure.find
    beside: list[str] = []

    def find(*arguments: object) -> erasure.Found:
        with pytest.raises(UnavailableError, match="an erasure or a rebuild goes on"):
            tend_all(platform.settings)
        beside.append("refused")
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(erasure, "find", find)
        erase_once([PERSON], "request", platform.settings, None)
    assert beside == ["refused"]
    with files_lease(platform):
        with pytest.raises(TimeoutExpiredError, match=FILES):
            erase_once([PERSON], "request", platform.settings, None)
        with pytest.raises(UnavailableError, match=FILES):
            rebuild_silver(platform.settings)
    assert len(tend_all(platform.settings)) > 20
    assert_gone(platform)


def test_upkeep_leaves_a_rebuild_alone(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(platform)
    run(platform)
    killed_rebuild(platform, monkeypatch, "build")
    left = files(staged(platform.settings).storage.folder)
    assert left
    tend_all(platform.settings, retention=timedelta(0))
    assert files(staged(platform.settings).storage.folder) == left
    killed_rebuild(platform, monkeypatch, "silver")
    with pytest.raises(UnavailableError, match="in the middle of its switch"):
        tend_all(platform.settings, retention=timedelta(0))
    run(platform)
    assert len(tend_all(platform.settings, retention=timedelta(0))) > 20
    assert platform.problems() == []


def files(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
