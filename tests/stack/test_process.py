from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

from music_assets.stack.memory import MemorySampler, total_mb
from music_assets.stack.process import MARKER, free_port, marked, port_is_open, socket_path, sweep, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

import pytest

_SLEEP = "import time; time.sleep(100)"
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(100)"


@pytest.fixture
def start() -> Iterator[AbstractContextManager]:
    """Starts a Python process with or without a stack's mark."""
    started = []

    def run(home: Path | None, program: str = _SLEEP) -> subprocess.Popen[bytes]:
        mark = {MARKER: str(home)} if home else {}
        environment = {"PATH": os.environ["PATH"], **mark}  # noqa: TID251 - to find the interpreter's libraries
        process = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_sweep_ends_the_marked_and_no_other(tmp_path: Path, start) -> None:
    ours, theirs, nobodys = start(tmp_path / "a"), start(tmp_path / "b"), start(None)
    assert wait_until(lambda: [each.pid for each in marked(tmp_path / "a")] == [ours.pid], seconds=10)

    ended = sweep(tmp_path / "a")

    assert ended == [ours.pid]
    assert not psutil.pid_exists(ours.pid)
    assert theirs.poll() is None
    assert nobodys.poll() is None


def test_sweep_kills_what_does_not_listen(tmp_path: Path, start) -> None:
    deaf = start(tmp_path, _DEAF)
    deaf.stdout.readline()

    sweep(tmp_path, grace_seconds=0.5)

    assert not psutil.pid_exists(deaf.pid)


def test_sweep_spares_the_process_that_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start) -> None:
    program = (
        "import sys, os; from pathlib import Path; from music_assets.stack.process import sweep\n"
        f"sweep(Path({str(tmp_path)!r})); print('alive', flush=True)"
    )

    sweeper = start(tmp_path, program)

    assert sweeper.stdout.read() == b"alive\n"


def test_a_free_port_is_free() -> None:
    assert not port_is_open(free_port())


def test_a_long_socket_path_becomes_a_short_one_that_stays_the_same(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100) / "a.sock"

    assert socket_path(tmp_path / "a.sock") == tmp_path / "a.sock"
    assert len(str(socket_path(long))) < 100
    assert socket_path(long) == socket_path(long)


def test_memory_counts_the_marked(tmp_path: Path, start) -> None:
    before = total_mb(tmp_path)
    eater = start(tmp_path, "x = b'x' * 100_000_000; print(flush=True); import time; time.sleep(100)")
    eater.stdout.readline()

    assert total_mb(tmp_path) - before > 90


def test_the_peak_is_kept(tmp_path: Path) -> None:
    with MemorySampler(tmp_path) as memory:
        assert wait_until(lambda: memory.peak_mb > 0, seconds=10)

    assert memory.peak_mb >= psutil.Process().memory_full_info().uss / 2**20 / 2
