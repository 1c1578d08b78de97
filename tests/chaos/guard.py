"""`python -m tests.chaos.guard FOLDER PID SECONDS`: ends a run that does not end by itself, and what it left behind."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil

from music_assets.stack.process import sweep, wait_until
from tests.chaos.disk import unmount


def clear(folder: Path) -> None:
    """End every process of the stacks below a folder and unmount their file systems."""
    for home in (path for path in folder.iterdir() if path.is_dir()):
        sweep(home, grace_seconds=5)
    unmount(folder)


def main(folder: Path, pid: int, seconds: float) -> None:
    """Wait for a process until its time is up; then see to it that nothing is left."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if not wait_until(lambda: _is_over(process), seconds=seconds, pause=1):
            process.kill()
    clear(folder)


def _is_over(process: psutil.Process) -> bool:
    """Whether a process ran to its end: one that nobody has waited for yet still counts as running elsewhere."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
