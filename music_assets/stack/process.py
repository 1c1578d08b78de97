"""Ports, command lines and readiness of single processes."""

from __future__ import annotations

import random
import shutil
import socket
import time
from typing import TYPE_CHECKING, Final

from streaming.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

_PORTS: Final = range(20_000, 32_000)
"""Below the range that the kernel hands out to clients, so that a restarted server finds its port free."""


def port_is_open(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether something listens on a port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    for port in random.sample(_PORTS, 200):
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


def wait_until(ready: Callable[[], bool], *, seconds: float, pause: float = 0.1) -> bool:
    """Ask until something is ready; say whether it was in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
