"""What must be true before anything starts: each failure is one sentence that names the way out."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import psutil

from music_assets.stack.process import port_is_open
from streaming.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from music_assets.stack.parts import Part

JAVA: Final = 17
_FREE_BYTES: Final = 2 * 10**9


def check(parts: Iterable[Part]) -> None:
    """Check that some parts can start here.

    Raises:
        StackError: they cannot.
    """
    check_java()
    used: dict[int, Part] = {}
    for part in parts:
        check_port(part)
        if part.port is not None and not part.external:
            other = used.setdefault(part.port, part)
            if other is not part:
                pair = f"{other.setting} and {part.setting}"
                raise StackError(f"{pair} are both {part.port}: give each a port of its own")


def check_java(java: str | None = None) -> None:
    """Check that a Java new enough is on the PATH."""
    path = java or shutil.which("java")
    if path is None:
        raise StackError(f"Java is missing: install Java {JAVA} and put `java` on the PATH")
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if found is None or int(found[1]) < JAVA:
        version = found[1] if found else "of an unknown version"
        raise StackError(f"Java {version} at {path} is too old: put Java {JAVA} or newer first on the PATH")


def check_disk(home: Path, free_bytes: int = _FREE_BYTES) -> None:
    """Check that the state has room to grow."""
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < free_bytes:
        raise StackError(
            f"only {free / 1e9:.1f} GB are free at {existing}: the stack needs {free_bytes / 1e9:.1f} GB; "
            "make room or move it with MUSIC_HOME"
        )


def check_port(part: Part) -> None:
    """Check that nobody else listens where a part is to listen."""
    if part.port is None or part.external or not port_is_open(part.port):
        return
    owner = _owner(part.port)
    raise StackError(
        f"port {part.port}, wanted for {part.name}, is taken by {owner}: stop it or set {part.setting} to a free port"
    )


def _owner(port: int) -> str:
    try:
        listening = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        pid = next(each.pid for each in listening if each.laddr and each.laddr[1] == port and each.pid)
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except (StopIteration, psutil.Error):
        return "another program"
