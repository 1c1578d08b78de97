"""`music demo --exit` on a state of its own: once undisturbed, then again while its parts are killed one by one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from music_assets.settings import child_environment
from music_assets.stack import Stack
from music_assets.stack.process import marked
from serving.settings import Settings
from tests.conftest import JARS, ROOT
from tests.fixtures.ports import free_ports

pytestmark = [pytest.mark.alone, pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

MUSIC = Path(sys.executable).parent / "music"
FIELDS = {"stages", "ledger", "truth", "models", "recommendations", "promises", "peak_rss_mb", "seconds"}
PEAK_MB = 6 * 1024


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("demo")
    yield Settings(_env_file=None, music_home=home, jars_path=JARS, **free_ports())
    Stack(Settings(_env_file=None, music_home=home, jars_path=JARS)).down()


def start(settings: Settings) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [MUSIC, "demo", "--exit"],
        env=child_environment(settings), cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def report(settings: Settings) -> dict[str, Any]:
    return json.loads((settings.music_home / "demo.json").read_text())


def test_an_undisturbed_run_finds_every_row_that_was_planted(settings: Settings) -> None:
    demo = start(settings)
    output, _ = demo.communicate(timeout=600)
    assert demo.returncode == 0, output[-4000:]
    found = report(settings)
    assert found.keys() >= FIELDS
    assert all(found["promises"].values()), found["broken"]
    assert found["truth"]["found"] == found["truth"]["planted"]
    for topic, line in found["ledger"].items():
        assert line["received"] == line["stored"] + line["duplicate"] + line["dead_lettered"], topic
    assert found["models"]["ease"]["ndcg@10"] > found["models"]["popularity"]["ndcg@10"]
    assert found["recommendations"]
    assert found["peak_rss_mb"] < PEAK_MB
    assert not marked(settings.music_home), "something is left running"


def test_a_run_whose_parts_are_killed_finishes_and_keeps_every_promise(settings: Settings) -> None:
    before = report(settings)["ledger"]
    demo = start(settings)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(demo.stdout or ()))
    reader.start()
    killed = [kill(settings, part, demo) for part in ("kafka", "api", "streams", "postgres", "supervisord")]
    demo.wait(timeout=600)
    reader.join()
    output = "".join(lines)
    assert killed == [True] * 5, f"the run ended before everything was killed: {killed}\n{output[-3000:]}"
    assert demo.returncode == 0, output[-4000:]
    found = report(settings)
    assert all(found["promises"].values()), found["broken"]
    for topic, planted in found["truth"]["planted"]["topics"].items():
        assert found["truth"]["found"]["topics"][topic]["stored"] == planted["stored"], topic
        assert found["ledger"][topic]["stored"] == before[topic]["stored"] + planted["stored"], topic
    assert not marked(settings.music_home), "something is left running"


def kill(settings: Settings, part: str, demo: subprocess.Popen[str]) -> bool:
    """Kill a part once every part was up, and wait until it is back; say whether the run was still going on."""
    stack = Stack(settings)
    wait(demo, stack.ready)
    pid = stack.supervisor.pid() if part == "supervisord" else stack.supervisor.states()[part].pid
    if not pid or demo.poll() is not None:
        return False
    os.kill(pid, signal.SIGKILL)
    wait(demo, lambda: pid_of(stack, part) not in {0, pid})
    return demo.poll() is None


def pid_of(stack: Stack, part: str) -> int:
    if part == "supervisord":
        return stack.supervisor.pid() if stack.supervisor.alive() else 0
    state = stack.supervisor.states().get(part)
    return state.pid if state else 0


def wait(demo: subprocess.Popen[str], done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while demo.poll() is None and time.monotonic() < deadline:
        with suppress(Exception):  # a part that is away is what is waited out
            if done():
                return
        time.sleep(0.5)
