"""The short form of `make chaos`: a real stack under load is killed at every turn and keeps its promises."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from music_assets.settings import child_environment
from music_assets.stack.parts import ROOT
from music_assets.stack.process import marked, wait_until
from serving.settings import Settings
from tests.chaos.disk import mounted

pytestmark = [pytest.mark.alone, pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]

# A JVM's start is most of the time, so the stream process is killed seldom on Spark; what else is killed is killed
# while it starts.
FAULTS = {
    "spark": (
        "mid-write: silver", "api", "broker", "redis", "api", "commit-log entry deleted", "api while it spools",
        "broker",
    ),
    "python": (
        "mid-write: silver", "api", "broker", "redis", "checkpoint wiped", "erasure", "topic re-created unseen",
        "mid-write: dead letters", "api while it spools", "stream driver",
    ),
}  # fmt: skip
UNKILLED = {"topic re-created unseen"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a run makes its own folder: the test sees what it leaves."""
    # Sockets have short paths only.
    with tempfile.TemporaryDirectory(prefix="c-") as short:
        yield Path(short)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = child_environment(Settings(_env_file=None)) | {"TMPDIR": str(folder)}
    command = (sys.executable, "-m", "tests.chaos.run", *arguments)
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )


def nothing_left(folder: Path) -> bool:
    homes = [home for run in folder.glob("chaos-*") for home in run.iterdir()]
    return not mounted(folder) and not any(marked(home) for home in homes)


@pytest.mark.parametrize("engine", FAULTS)
def test_a_stack_that_is_killed_again_and_again_loses_and_doubles_nothing(folder: Path, engine: str) -> None:
    out = folder / "report.json"
    faults = FAULTS[engine]
    kills = [fault for fault in faults if fault not in UNKILLED]
    run = start(
        folder, "--seed", "1", "--engine", engine, "--kills", str(len(kills)), "--faults", ",".join(faults),
        "--minutes", "8", "--no-undisturbed", "--json", str(out),
    )  # fmt: skip
    output, _ = run.communicate()
    report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert run.returncode == 0, output
    assert report["kills_total"] == len(kills) >= 8
    assert set(report["kills"]) == set(kills)
    assert {each["fault"] for each in report["happened"]} == set(faults)
    assert report["compared"] == ["what was sent"]
    assert not any(report["verdict"].values())
    assert report["events"]["accepted"] > 1000
    assert all(
        totals["stored"] and totals["dead_lettered"] for topic, totals in report["ledger"].items() if "events_" in topic
    )
    assert nothing_left(folder)


def test_a_run_that_is_killed_itself_leaves_no_process(folder: Path) -> None:
    run = start(folder, "--seed", "2", "--kills", "1", "--minutes", "5")
    assert wait_until(lambda: len(list(folder.glob("chaos-*/disturbed/logs/kafka.log"))) == 1, seconds=60)
    home = next(folder.glob("chaos-*/disturbed"))
    assert wait_until(lambda: len(marked(home)) > 1, seconds=60)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert wait_until(lambda: nothing_left(folder), seconds=60)
