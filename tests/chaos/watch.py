"""Tells of files the moment they appear, by the kernel's inotify: the seam through which a write is hit half-way."""

from __future__ import annotations

import ctypes
import os
import re
import select
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_MODIFIED: Final = 0x2
_MOVED_TO: Final = 0x80
_CREATED: Final = 0x100
_EVENT: Final = struct.Struct("iIII")
_BYTES: Final = 65_536

_COMMIT: Final = r"\d{20}\.json"


@dataclass(frozen=True)
class Point:
    """A moment within a write, seen from outside.

    Attributes:
        folders: glob of the folders, below the lake's root.
        name: regular expression of the file's whole name.
        change: the file changes, instead of appearing.
    """

    folders: str
    name: str
    change: bool = False

    def folders_of(self, root: Path) -> list[Path]:
        """Return the folders that are there now."""
        return [path for path in root.glob(self.folders) if path.is_dir()]


POINTS: Final[dict[str, Point]] = {
    "planned": Point("_checkpoints/*silver*/**/offsets", r"\d+"),
    "data file": Point("silver/events_*", r".*\.parquet"),
    "silver": Point("silver/events_*/_delta_log", _COMMIT),
    "catalogue": Point("silver/catalog_*/_delta_log", _COMMIT),
    "dead letters": Point("deadletter/*/_delta_log", _COMMIT),
    "ledger": Point("lake/ledger/_delta_log", _COMMIT),
    "claims": Point("_checkpoints/*silver*/claims/rocksdb", r".*\.log", change=True),
    "done": Point("_checkpoints/*silver*/**/commits", r"\d+"),
    "bronze": Point("bronze/*/_delta_log", _COMMIT),
    "trending": Point("gold/*/_delta_log", _COMMIT),
}
"""Points of the stream process in the order of a batch: before and after each table's commit, between sink and ledger
(`silver`, `dead letters`), between ledger and index (`ledger`), between index and Spark's log (`claims`)."""


class Watch:
    """The next file that appears at a point.

    Args:
        point: what to wait for.
        root: the lake's root; folders that are made later are not seen.
    """

    def __init__(self, point: Point, root: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._name = re.compile(point.name)
        self._fd: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self._folders: dict[int, Path] = {}
        mask = _MODIFIED if point.change else _MOVED_TO | _CREATED
        for folder in point.folders_of(root):
            self._folders[libc.inotify_add_watch(self._fd, os.fsencode(folder), mask)] = folder
        if self._fd < 0 or min(self._folders, default=0) < 0:
            raise OSError(ctypes.get_errno(), "inotify does not watch")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def wait(self, seconds: float) -> Path | None:
        """Return the next file, at the earliest moment it can be known; None: there was none in time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._fd], [], [], left)[0]:
                for path in self._read():
                    if self._name.fullmatch(path.name):
                        return path
        return None

    def _read(self) -> Iterable[Path]:
        content, at = os.read(self._fd, _BYTES), 0
        while at < len(content):
            folder, _, _, length = _EVENT.unpack_from(content, at)
            at += _EVENT.size
            name = content[at : at + length].rstrip(b"\0")
            at += length
            if folder in self._folders:
                yield self._folders[folder] / os.fsdecode(name)
