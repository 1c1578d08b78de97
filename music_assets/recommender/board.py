"""What the last training left for people: the leaderboard and the gate's word, as files that load no model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER: Final = "leaderboard"
"""Below the work folder."""
_FILE: Final = "leaderboard.json"


@dataclass(frozen=True)
class Line:
    """A model on the leaderboard: its metrics, and its gain over popularity as `mean`, `lower`, `upper`."""

    model: str
    metrics: dict[str, float]
    over_popularity: dict[str, float]


@dataclass(frozen=True)
class Word:
    """What the gate said last: of which version serves from then on, and why."""

    version: str
    released: bool
    reason: str
    at: datetime


def write(folder: Path, lines: Sequence[tuple[str, Mapping[str, float], Mapping[str, float]]]) -> None:
    """Write the lines of a leaderboard, the best first."""
    said = [{"model": model, "metrics": metrics, "over_popularity": gain} for model, metrics, gain in lines]
    (folder / _FILE).write_text(json.dumps(said), "utf-8")


def read(root: Path) -> tuple[list[Line], datetime | None]:
    """Return the leaderboard and when it was made; none before the first training.

    Raises:
        IntegrityError: it cannot be read.
    """
    said, at = _said(root / "work" / FOLDER / _FILE)
    try:
        return [Line(**each) for each in said or []], at
    except TypeError as error:
        raise IntegrityError("the leaderboard cannot be read; materialise recommender/leaderboard again") from error


def last_word(root: Path) -> Word | None:
    """Return what the gate said last; None before the first release.

    Raises:
        IntegrityError: it cannot be read.
    """
    said, at = _said(root / "work" / "outcome" / "outcome.json")
    if said is None or at is None:
        return None
    try:
        return Word(said["version"], said["verdict"]["released"], said["verdict"]["reason"], at)
    except (KeyError, TypeError) as error:
        raise IntegrityError("the gate's word cannot be read; materialise recommender/champion again") from error


def _said(file: Path) -> tuple[Any, datetime | None]:
    try:
        return json.loads(file.read_text("utf-8")), datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None, None
    except ValueError as error:
        raise IntegrityError(f"{file.name} cannot be read: it is no JSON") from error
