"""One step of the daily training in a process of its own, so that its memory is known: `ROOT STEP ANSWER`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from music_assets.recommender.interactions import Interactions
from music_assets.recommender.names import TWO_STAGE
from music_assets.recommender.training import Workshop

if TYPE_CHECKING:
    from music_assets.recommender.candidates import Candidate

PREPARE: Final = "interactions"
RANK: Final = "ranker"
LEADERBOARD: Final = "leaderboard"
RELEASE: Final = "champion"


def done(root: Path, step: str) -> dict[str, Any]:
    """Do what the asset of this name does, on the listens below `root / "planted"`; return what it found."""
    workshop = Workshop(root)
    if step == PREPARE:
        split = workshop.prepare(Interactions.open(root / "planted"))
        return {"judges": split.listeners}
    if step == RANK:
        ranked = workshop.rank()
        return {"reason": ranked} if isinstance(ranked, str) else {"recipe": TWO_STAGE, **_found(ranked)}
    if step == LEADERBOARD:
        rows, parts = workshop.leaderboard(), workshop.ablation()
        gain = {"best_single": parts.best_single, "gain": asdict(parts.gain) if parts.gain else None}
        return {"rows": {row.model: row.metrics for row in rows}, "union": parts.union, **gain}
    if step == RELEASE:
        outcome = workshop.release({})
        return {"released": outcome.verdict.released, "reason": outcome.verdict.reason}
    return _found(workshop.train(step))


def _found(candidate: Candidate) -> dict[str, Any]:
    return {"settings": candidate.settings, "metrics": candidate.evaluation.means()}


def _peak_mb() -> float:
    """Return this process's largest resident memory; that of `getrusage` holds what its parent had as well."""
    status = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def main(root: Path, step: str, answer: Path) -> None:
    """Do a step and write what it found and took."""
    found = done(root, step)
    told = {"found": found, "cpu_seconds": round(time.process_time(), 2), "peak_mb": round(_peak_mb())}
    answer.write_text(json.dumps(told, default=str), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
