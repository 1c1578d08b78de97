"""A small file system of its own for a folder, which can be filled to the last byte and emptied again."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

_FILLER: Final = "filler"
_TRIES: Final = 20


class Disk:
    """A tmpfs of bounded size below a folder; mounting takes root.

    Args:
        path: the folder; made when missing.
        megabytes: its size.
    """

    def __init__(self, path: Path, *, megabytes: int) -> None:
        self.path = path
        self._megabytes = megabytes

    def mount(self) -> bool:
        """Mount it; say whether this machine lets us."""
        self.path.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "chaos", str(self.path)]
        return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0

    def fill(self) -> None:
        """Take every byte that is free."""
        with (self.path / _FILLER).open("ab") as filler:
            for _ in range(_TRIES):
                # Whoever writes at the same time may be faster; then a little less is free.
                with suppress(OSError):
                    os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, self._free())
                if not self._free():
                    return

    def _free(self) -> int:
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    def release(self) -> None:
        """Give the space back."""
        (self.path / _FILLER).unlink(missing_ok=True)


def mounted(below: Path) -> list[Path]:
    """Return the mount points below a folder, the deepest first."""
    points = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    return sorted((point for point in points if point.is_relative_to(below)), reverse=True)


def unmount(below: Path) -> None:
    """Unmount everything below a folder, also what a process still looks at."""
    for point in mounted(below):
        subprocess.run(["umount", "--lazy", str(point)], check=False, capture_output=True)
