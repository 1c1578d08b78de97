"""Single processes: ports, command lines, waiting, and ending those that are ours."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from streaming.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

MARKER: Final = "MUSIC_STACK"
"""Environment variable that every process of a stack carries: the folder of its state."""

_SOCKET_LIMIT: Final = 100
"""Longest path of a Unix socket, with room for the suffix that the supervisor binds first."""

_PORTS: Final = range(20_000, 32_000)
"""Below the range that the kernel hands out to clients, so that a restarted server finds its port free."""


def port_is_open(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether something listens on a port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    """Return a port of this machine that nobody listens on.

    Drawn by the system: a seeded generator gives the same ports to two stacks that start at once.
    """
    for port in random.SystemRandom().sample(_PORTS, 200):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StackError(f"no free port between {_PORTS.start} and {_PORTS.stop} on this machine")


def with_parent(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command line whose process the kernel kills when its parent dies, where the system can."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", *command) if setpriv else command


def in_background(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command line whose process gives way on a full core to what answers people: that gets nine tenths."""
    nice = shutil.which("nice")
    return (nice, "-n", "10", *command) if nice else command


def wait_until(ready: Callable[[], bool], *, seconds: float, pause: float = 0.1) -> bool:
    """Ask until something is ready; say whether it was in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def socket_path(wanted: Path) -> Path:
    """Return a path for a Unix socket: the wanted one, or a short one for it where the kernel's limit is passed."""
    if len(os.fsencode(wanted)) <= _SOCKET_LIMIT:
        return wanted
    folder = Path(tempfile.gettempdir()) / f"music-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]}.sock"


def marked(home: Path) -> list[psutil.Process]:
    """Return every process that the stack with its state in `home` started, and their children."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARKER) == str(home):
                # PostgreSQL's children overwrite their environment with their title.
                found |= {each.pid: each for each in (process, *process.children(recursive=True))}
    found.pop(os.getpid(), None)
    return list(found.values())


def sweep(home: Path, *, grace_seconds: float = 10) -> list[int]:
    """End every process of the stack with its state in `home`, and no other; return their ids."""
    left = marked(home)
    ended = [process.pid for process in left]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=grace_seconds)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=grace_seconds)
    return ended
