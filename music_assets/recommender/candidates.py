"""What a training leaves of each recipe: the model fitted up to the cut-off, with its measure after it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import sparse

from music_assets.recommender.files import read_model, save_model
from music_assets.recommender.metrics import PER_LISTENER, Evaluation, K, evaluate
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from music_assets.recommender.models.base import FittedModel
    from music_assets.recommender.split import Split

_FACTS: Final = ("recipe", "settings", "cutoff", "data")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A recipe fitted up to the cut-off and measured after it.

    Attributes:
        recipe: its name.
        settings: what it picked.
        cutoff: where the test part began, microseconds since 1970.
        data: names the listens it saw.
        holdout: the fitted model.
        evaluation: its metrics.
        history: what the listeners under test had heard, as in `Split`.
        test: what they heard anew, as in `Split`.
    """

    recipe: str
    settings: dict[str, Any]
    cutoff: int
    data: str
    holdout: FittedModel
    evaluation: Evaluation
    history: Any
    test: Any


def measured(model: FittedModel, history: Any, test: Any) -> Evaluation:
    """Judge a model's lists of K."""
    return evaluate(model.recommend(history, k=K), test, k=K, items=len(model.items))


def fingerprint(split: Split) -> str:
    """Return what names the listens of a split."""
    return f"{len(split.train)} listens before {split.cutoff}, {split.test.nnz} new items of {split.listeners} after"


def save(folder: Path, candidate: Candidate) -> None:
    """Write a candidate below a folder, which must exist."""
    save_model(folder, "holdout", candidate.holdout)
    sparse.save_npz(folder / "history.npz", candidate.history)
    sparse.save_npz(folder / "test.npz", candidate.test)
    judged = candidate.evaluation
    arrays = {field: getattr(judged, field) for field in PER_LISTENER}
    np.savez(folder / "evaluation.npz", k=judged.k, coverage=judged.coverage, **arrays)
    facts = {name: getattr(candidate, name) for name in _FACTS}
    (folder / "candidate.json").write_text(json.dumps(facts), "utf-8")


def saved(folder: Path) -> bool:
    """Return whether a candidate lies there."""
    return (folder / "candidate.json").exists()


def read(folder: Path, name: str) -> Candidate:
    """Read what `save` wrote.

    Raises:
        UnavailableError: nothing was saved there.
    """
    if not saved(folder):
        raise UnavailableError(f"there is no candidate {name} yet: materialise recommender/candidates_{name} first")
    with np.load(folder / "evaluation.npz", allow_pickle=False) as arrays:
        judged = {field: arrays[field] for field in PER_LISTENER}
        evaluation = Evaluation(k=int(arrays["k"]), coverage=float(arrays["coverage"]), **judged)
    return Candidate(
        holdout=read_model(folder, "holdout"),
        history=sparse.load_npz(folder / "history.npz"),
        test=sparse.load_npz(folder / "test.npz"),
        evaluation=evaluation,
        **json.loads((folder / "candidate.json").read_text("utf-8")),
    )
