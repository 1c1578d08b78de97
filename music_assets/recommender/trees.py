"""How the trees of the second stage are grown: rounds and objective picked on listeners set apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import lightgbm
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from music_assets.recommender.two_stage import Examples

_APART: Final = 0.2
"""Share of the listeners that pick rounds and objective."""

_SEED: Final = 7
_ROUNDS: Final = 600
_PATIENCE: Final = 50
_SHAPES: Final[tuple[dict[str, Any], ...]] = (
    {"objective": "binary", "num_leaves": 7, "learning_rate": 0.05},
    {"objective": "binary", "num_leaves": 31, "learning_rate": 0.03},
    {"objective": "lambdarank", "num_leaves": 7, "learning_rate": 0.05},
)
_COMMON: Final[dict[str, Any]] = {
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
        gain: feature to its share of the splits' gain.
    """

    text: str
    settings: dict[str, Any]
    ndcg: float
    gain: dict[str, float]


def grow(examples: Examples, names: Sequence[str], *, k: int) -> Trees:
    """Grow trees that order candidates.

    Args:
        examples: candidates of models that had not seen the labels.
        names: of the features.
        k: length of the list whose NDCG picks the settings.
    """
    train, apart = examples.halves(_APART, _SEED)
    tried = [_tried(shape, train, apart, names, k) for shape in _SHAPES]
    ndcg, rounds, shape = max(tried, key=lambda each: each[0])
    booster = lightgbm.train({**_COMMON, **shape, "eval_at": [k]}, _dataset(examples, names), max(rounds, 1))
    gain = booster.feature_importance("gain")
    share = gain / max(float(np.sum(gain)), 1e-9)
    return Trees(
        text=booster.model_to_string(),
        settings={**shape, "rounds": rounds},
        ndcg=ndcg,
        gain={name: round(float(part), 4) for name, part in zip(names, share, strict=True)},
    )


def _tried(
    shape: dict[str, Any], train: Examples, apart: Examples, names: Sequence[str], k: int
) -> tuple[float, int, dict[str, Any]]:
    booster = lightgbm.train(
        {**_COMMON, **shape, "eval_at": [k]},
        _dataset(train, names),
        _ROUNDS,
        valid_sets=[_dataset(apart, names)],
        callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
    )
    ndcg = apart.ndcg(np.asarray(booster.predict(apart.features, raw_score=True)), k)
    return ndcg, booster.best_iteration, shape


def _dataset(examples: Examples, names: Sequence[str]) -> lightgbm.Dataset:
    return lightgbm.Dataset(
        examples.features, examples.label, group=examples.group, feature_name=list(names), free_raw_data=False
    )
