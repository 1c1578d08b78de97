"""What a commit leaves for the next one, beside the files of a table without a log.

They are written before the commit's file and count once that is there. Only a writer, who holds the lease, reads them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOLDER: Final = "_marks"


def read(folder: Path, number: int) -> dict[str, int]:
    """Return what a table's commit left, by app id."""
    file = _file(folder, number)
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def write(folder: Path, number: int, marks: Mapping[str, int]) -> None:
    """Leave marks for the commit that is to come."""
    if not marks:
        return
    file = _file(folder, number)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(marks), encoding="utf-8")


def forget(folder: Path, number: int) -> None:
    """Remove the marks of a commit that is no longer the last."""
    _file(folder, number).unlink(missing_ok=True)


def _file(folder: Path, number: int) -> Path:
    return folder / _FOLDER / f"{number}.json"
