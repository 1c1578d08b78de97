"""How the trees of the second stage are grown: for ranking (LambdaRank), shape and rounds picked on others set apart.

What was shown teaches what listeners prefer, but also where it stood: the first place is played more whatever stands
there. What places are worth is learnt first (`music_assets.recommender.places`) and then taken as given, so that the
trees explain what it leaves open.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import lightgbm
import numpy as np

from music_assets.recommender.examples import Examples
from music_assets.recommender.two_stage import SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from music_assets.recommender.shown import Shown

_APART: Final = 0.2
"""Share of the listeners that pick shape and rounds."""

_SEED: Final = 7
_ROUNDS: Final = 600
_USUAL_ROUNDS: Final = 200
"""Those after which growth has ended by itself on every data set measured."""

_PATIENCE: Final = 50

_GROWTHS: Final = 3.5
"""Times that trees are grown within the seconds given: each shape, the chosen one on a quarter more, and some air."""

_PACE: Final = 8e6
"""Candidates times rounds that a second of two quiet cores grows; decides how many candidates may take part."""

_LEAST: Final = 10.0
"""Seconds that trees may take however late it is: cut short they are worse than the models they order."""

_FEWEST: Final = 50_000
"""Candidates that take part however short the time: they take a second."""

_SHAPES: Final[tuple[dict[str, Any], ...]] = (
    {"num_leaves": 7, "learning_rate": 0.05},
    {"num_leaves": 31, "learning_rate": 0.03},
)
COMMON: Final[dict[str, Any]] = {
    "objective": "lambdarank",
    # Pairs of which one is placed so high count. At LightGBM's 30, half of a list's candidates never do.
    "lambdarank_truncation_level": 60,
    "min_data_in_leaf": 200,
    "lambda_l2": 10.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "metric": "ndcg",
    "label_gain": [0, 1],
    "seed": _SEED,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


@dataclass(frozen=True)
class Trees:
    """Grown trees.

    Attributes:
        text: LightGBM's text form.
        settings: objective, shape and rounds picked.
        ndcg: on the listeners set apart.
        rivals: model to its own NDCG on the same listeners.
        gain: feature to its share of the splits' gain.
    """

    text: str
    settings: dict[str, Any]
    ndcg: float
    rivals: dict[str, float]
    gain: dict[str, float]


def affordable(seconds: float) -> float:
    """Return how many candidates `grow` looks at in so many seconds."""
    return max(_share(seconds) * _PACE / _USUAL_ROUNDS, _FEWEST)


def _share(seconds: float) -> float:
    """Return the seconds that each shape may grow."""
    return max(seconds, _LEAST) / _GROWTHS


def grow(
    examples: Examples,
    names: Sequence[str],
    *,
    k: int,
    seconds: float = float("inf"),
    shown: Shown | None = None,
) -> Trees:
    """Grow trees that order candidates.

    Args:
        examples: candidates of models that had not seen the labels.
        names: of the features.
        k: length of the list whose NDCG picks the settings.
        seconds: time for all of it, `_LEAST` at least: fewer listeners take part, and no shape grows longer than its
            share.
        shown: what was shown to listeners, learnt from as well. Only pairs count, because that one thing is played
            more often than another can be told from one answer, and how often things are played cannot.
    """
    share, most = _share(seconds), affordable(seconds)
    if most < len(examples.label):
        taken = examples.drawn(most / len(examples.label), _SEED + 1)
        examples, shown = examples.of(taken), shown and shown.numbered(taken)
    chosen = examples.drawn(_APART, _SEED)
    train, apart = examples.of(~chosen), examples.of(chosen)
    others = shown and shown.without(chosen)
    tried = [_tried(shape, train, apart, names, _Stop(k, time.monotonic() + share), others) for shape in _SHAPES]
    ndcg, rounds, shape = max(tried, key=lambda each: each[0])
    booster = lightgbm.train({**COMMON, **shape, "eval_at": [k]}, _dataset(examples, names, shown), max(rounds, 1))
    gain = booster.feature_importance("gain")
    parts = gain / max(float(np.sum(gain)), 1e-9)
    return Trees(
        text=booster.model_to_string(),
        settings={"objective": COMMON["objective"], **shape, "rounds": rounds},
        ndcg=ndcg,
        rivals=_rivals(apart, names, k),
        gain={name: round(float(part), 4) for name, part in zip(names, parts, strict=True)},
    )


class _Stop:
    """A callback that ends growth where the list has not become better for a while, or where the time is up."""

    def __init__(self, k: int, ends: float) -> None:
        self.k = k
        self._ends = ends
        self._best = float("-inf")
        self._round = 0

    def __call__(self, env: lightgbm.callback.CallbackEnv) -> None:
        found = env.evaluation_result_list or []
        if found[0][2] > self._best:
            self._best, self._round = found[0][2], env.iteration
        if env.iteration - self._round >= _PATIENCE or time.monotonic() > self._ends or env.iteration + 1 == _ROUNDS:
            raise lightgbm.callback.EarlyStopException(self._round, found)


def _rivals(apart: Examples, names: Sequence[str], k: int) -> dict[str, float]:
    """NDCG of each model's own score: of other listeners it would say nothing beside that of the trees."""
    scores = {name.removesuffix(SCORE): column for column, name in enumerate(names) if name.endswith(SCORE)}
    return {name: apart.ndcg(apart.features[:, column], k) for name, column in scores.items()}


def _tried(
    shape: dict[str, Any], train: Examples, apart: Examples, names: Sequence[str], stop: _Stop, shown: Shown | None
) -> tuple[float, int, dict[str, Any]]:
    booster = lightgbm.train(
        {**COMMON, **shape, "eval_at": [stop.k]},
        _dataset(train, names, shown),
        _ROUNDS,
        valid_sets=[_dataset(apart, names, None)],
        callbacks=[stop],
    )
    ndcg = apart.ndcg(np.asarray(booster.predict(apart.features, raw_score=True)), stop.k)
    return ndcg, booster.best_iteration, shape


def _dataset(examples: Examples, names: Sequence[str], shown: Shown | None) -> lightgbm.Dataset:
    worth: NDArray[np.float64] | None = None
    if shown is not None:
        worth = np.concatenate([np.zeros(len(examples.label)), shown.worth])
        examples = Examples.joined([examples, shown.examples])
    return lightgbm.Dataset(
        examples.features,
        examples.label,
        group=examples.group,
        init_score=worth,
        feature_name=list(names),
        free_raw_data=False,
    )
