"""Recommendation quality on a data set: one recipe for all, tuned on the train part alone, within a budget of time."""

from __future__ import annotations

import json
import resource
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from music_assets.bench import machine, sar
from music_assets.bench.recommend_data import Problem, read
from music_assets.recommender.metrics import PER_LISTENER, Evaluation, difference, evaluate, intervals
from music_assets.recommender.models.base import top
from music_assets.recommender.models.blocks import each_block
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.stacking import Stacked, stack
from music_assets.recommender.two_stage import TwoStage, propose, rate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

LENGTHS: Final = (10, 20)
"""Lengths of the lists that are judged; settings are picked by the last one."""

_FIT_SHARE: Final = 0.92
"""Of the budget: the stacking foresees the judging; what is left is for intervals, for writing, and for a neighbour."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The figures of a data set.

    Attributes:
        models: name to its evaluation at each of `LENGTHS`, of the same listeners.
        best: name of the model that was best on the validation part.
        facts: of the data, the settings picked, the seconds and the memory.
    """

    models: dict[str, tuple[Evaluation, ...]]
    best: str
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return all figures; means with their 95 % intervals."""
        models = {name: _figures(evaluations) for name, evaluations in self.models.items()}
        best = {"model": self.best, **models[self.best], "over": self._over()}
        return json.dumps({"best": best, "models": models, **self.facts}, indent=1)

    def lines(self) -> list[str]:
        """Return a line for each model, the best by NDCG first."""
        ranked = sorted(self.models.items(), key=lambda entry: -float(entry[1][-1].ndcg.mean()))
        return [
            f"{name:12}" + "  ".join(f"{key} {value:.4f}" for each in judged for key, value in _main(each).items())
            for name, judged in ranked
        ]

    def _over(self) -> dict[str, str]:
        """Return the best's gain of NDCG over each other model, paired over listeners."""
        ours = self.models[self.best][-1].ndcg
        return {
            name: str(difference(ours, judged[-1].ndcg)) for name, judged in self.models.items() if name != self.best
        }


def measure(folder: Path, test: Path | None, budget_seconds: float, say: Callable[[str], None]) -> Quality:
    """Tune, fit and judge.

    Args:
        folder: with the data, in a form that `recommend_data.read` knows.
        test: a test part kept elsewhere, or None.
        budget_seconds: for everything.
        say: is told what is being done.
    """
    started = time.monotonic()
    problem = read(folder, test)
    say(f"{len(problem.judges):,} users judge, {problem.train.counts.nnz:,} pairs to learn from; {problem.source}")
    left = budget_seconds - (time.monotonic() - started)
    stacked = stack(problem.train, k=LENGTHS[-1], seconds=left * _FIT_SHARE)
    fitted = time.monotonic() - started
    say(f"fitted after {fitted:.0f} s; best on validation: {stacked.best}")
    lists, union = _ranked(stacked, problem)
    models = {name: judged(ranked, problem) for name, ranked in lists.items()}
    facts = {
        "source": problem.source,
        "users": len(problem.judges),
        "items": len(problem.train.items),
        "pairs": int(problem.train.counts.nnz),
        "validated": stacked.validated,
        "settings": {name: asdict(entry.model) for name, entry in stacked.tuned.items()},
        "trials": {name: entry.trials for name, entry in stacked.tuned.items()},
        "fit_seconds": {name: round(entry.fit_seconds, 2) for name, entry in stacked.tuned.items()},
        "trees": {"settings": stacked.trees.settings, "gain": stacked.trees.gain, "folds": stacked.folds},
        "union_recall": union,
        "budget_seconds": budget_seconds,
        "seconds_to_fit": round(fitted, 1),
        "seconds": round(time.monotonic() - started, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "machine": machine.facts(),
    }
    return Quality(models=models, best=stacked.best, facts=facts)


def _ranked(stacked: Stacked, problem: Problem) -> tuple[dict[str, NDArray[np.int64]], dict[str, float]]:
    """Return each model's lists for the judges, and how much of what is to be found some model proposes at all."""
    names, k = [*stacked.model.names, TwoStage.kind], LENGTHS[-1]
    judges = problem.judges
    parts = each_block(lambda block: _ranked_block(stacked.model, problem, judges[block], k), len(judges))
    lists = {name: np.concatenate([part.lists[place] for part in parts]) for place, name in enumerate(names)}
    found, proposals = (sum(getattr(part, name) for part in parts) for name in ("found", "proposals"))
    popular = Popularity().fit(problem.train).recommend(problem.train.counts[problem.judges], k=k)
    yardsticks = {Popularity.name: popular, **sar_lists(problem, k)}
    relevant = problem.test[problem.judges].nnz
    union = {"recall": found / max(relevant, 1), "candidates": proposals / max(len(problem.judges), 1)}
    return {**lists, **yardsticks}, union


@dataclass(frozen=True)
class _Block:
    """Lists of each model for some judges; how many items were proposed, and how many of them are to be found."""

    lists: list[NDArray[np.int64]]
    proposals: int
    found: int


def _ranked_block(model: TwoStage, problem: Problem, rows: NDArray[np.int64], k: int) -> _Block:
    history, test = problem.train.counts[rows], problem.test[rows]
    rated = rate(model.models, history)
    proposed = propose(rated, history, model.popularity, per_model=model.per_model)
    ordered = model.ordered(proposed, history.shape)
    ordered[history.nonzero()] = -np.inf
    found = int(np.count_nonzero(test[proposed.row, proposed.column]))
    return _Block([top(scores, k) for scores in (*rated, ordered)], len(proposed.row), found)


def sar_lists(problem: Problem, k: int) -> dict[str, NDArray[np.int64]]:
    """Return SAR's lists for the judges under its name, or nothing where the data has no times."""
    if problem.rated is None:
        return {}
    return {"sar": sar.recommend(problem.train.counts, problem.rated, k=k)[problem.judges]}


def judged(ranked: NDArray[np.int64], problem: Problem) -> tuple[Evaluation, ...]:
    """Judge lists at each of `LENGTHS`."""
    test = problem.test[problem.judges]
    return tuple(evaluate(ranked, test, k=k, items=len(problem.train.items)) for k in LENGTHS)


def _figures(evaluations: tuple[Evaluation, ...]) -> dict[str, Any]:
    means = {key: value for each in evaluations for key, value in each.means().items()}
    names = [(each, name) for each in evaluations for name in PER_LISTENER]
    bounds = intervals(np.stack([getattr(each, name) for each, name in names], axis=1))
    found = {f"{name}@{each.k}": [at.lower, at.upper] for (each, name), at in zip(names, bounds, strict=True)}
    return {**means, "intervals": found}


def _main(at: Evaluation) -> dict[str, float]:
    means = at.means()
    return {name: means[name] for name in (f"ndcg@{at.k}", f"recall@{at.k}")}
