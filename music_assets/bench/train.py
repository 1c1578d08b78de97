"""The daily training at the size of a platform: seconds and memory of each step, in a process each."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from music_assets.bench import machine
from music_assets.bench.planted import planted
from music_assets.bench.report import Report, Requirement, Rows, number
from music_assets.bench.train_step import LEADERBOARD, PREPARE, RANK, RELEASE
from music_assets.recommender.names import CANDIDATES
from streaming.errors import MusicError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MINUTES: Final = 30
GIB: Final = 12

STEPS: Final = (PREPARE, *CANDIDATES, RANK, LEADERBOARD, RELEASE)
"""What a day materialises, in its order."""

_NOTES: Final = (
    "the listens lie on the disk before the clock starts: how long the warehouse takes is `music bench warehouse`",
    "steps run one after the other, each in a fresh process, so the seconds hold every import",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is trained on.

    Attributes:
        users: listeners.
        items: catalogue.
        listens: sizes, one training each.
    """

    users: int = 100_000
    items: int = 50_000
    listens: tuple[int, ...] = (1_000_000, 3_000_000, 10_000_000)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step took.

    Attributes:
        name: of the asset.
        seconds: on the wall.
        cpu_seconds: of all its threads.
        peak_mb: its process's largest resident memory.
        found: what it said.
    """

    name: str
    seconds: float
    cpu_seconds: float
    peak_mb: float
    found: dict[str, Any]


def run(options: Options, folder: Path, say: Callable[[str], None]) -> Report:
    """Train once for each size.

    Args:
        options: sizes.
        folder: a place on the disk for the work folders, which are taken away again.
        say: is told what is being done.

    Raises:
        MusicError: a step did not end well.
    """
    facts = machine.facts()
    trained = {size: _trained(options, size, folder, say) for size in options.listens}
    return Report(
        mode="train",
        machine=facts,
        options=asdict(options),
        measured={str(size): _summed(steps) for size, steps in trained.items()},
        requirements=[each for size, steps in trained.items() for each in requirements(size, steps)],
        notes=_NOTES,
        tables=[_rows(size, steps) for size, steps in trained.items()],
    )


def _trained(options: Options, listens: int, folder: Path, say: Callable[[str], None]) -> list[Step]:
    with tempfile.TemporaryDirectory(prefix="bench-train-", dir=folder) as place:
        root = Path(place)
        (root / "planted").mkdir()
        planted(listeners=options.users, items=options.items, listens=listens).save(root / "planted")
        return list(_steps(root, f"{listens:,} listens", say))


def _steps(root: Path, title: str, say: Callable[[str], None]) -> Iterator[Step]:
    for name in STEPS:
        step = _measured(root, name)
        say(f"{title}: {name} {step.seconds:.1f} s, {step.cpu_seconds:.1f} s of CPU, {step.peak_mb:,.0f} MB")
        yield step


def _measured(root: Path, name: str) -> Step:
    started = time.monotonic()
    answer = root / "answer.json"
    command = [sys.executable, "-m", "music_assets.bench.train_step", str(root), name, str(answer)]
    code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    if code:
        raise MusicError(f"the step {name} of the training ended with {code}; its output is above")
    seconds = round(time.monotonic() - started, 2)
    return Step(name=name, seconds=seconds, **json.loads(answer.read_text("utf-8")))


def _summed(steps: Sequence[Step]) -> dict[str, Any]:
    return {
        "seconds": round(sum(step.seconds for step in steps), 1),
        "cpu_seconds": round(sum(step.cpu_seconds for step in steps), 1),
        "peak_mb": max(step.peak_mb for step in steps),
        "steps": [asdict(step) for step in steps],
    }


def requirements(listens: int, steps: Sequence[Step]) -> list[Requirement]:
    """Hold a whole day to its minutes and its memory."""
    whole = _summed(steps)
    title = f"daily training / {listens:,} listens"
    return [
        Requirement(name=f"{title} / minutes", value=whole["seconds"] / 60, limit=MINUTES, direction="at most"),
        Requirement(name=f"{title} / GiB", value=whole["peak_mb"] / 1024, limit=GIB, direction="at most"),
    ]


def _rows(listens: int, steps: Sequence[Step]) -> Rows:
    return Rows(
        title=f"Daily training of {listens:,} listens",
        columns=("step", "seconds", "CPU seconds", "peak MB", "NDCG@10"),
        rows=[
            (step.name, number(step.seconds, 1), number(step.cpu_seconds, 1), number(step.peak_mb, 0),
             number(step.found.get("metrics", {}).get("ndcg@10"), 4))
            for step in steps
        ],
    )  # fmt: skip
