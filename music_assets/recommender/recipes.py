"""Recipes: a model with its way of picking its settings, on a validation part of the training data alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np

from music_assets.recommender.metrics import evaluate
from music_assets.recommender.models.base import Weighting
from music_assets.recommender.models.ease import Ease
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.split import cutoff_of, split_at
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from music_assets.recommender.interactions import Interactions
    from music_assets.recommender.models.base import Model

K: Final = 10
"""Length of the list that is judged."""

_TUNING_ITEMS: Final = 4000
"""Catalogue while tuning: the cube of 8,000 is eight times the work for the same choice."""

_MAX_VALIDATION: Final = 2000
"""Listeners that judge settings: more would cost time and not change the choice."""

_MIN_VALIDATION: Final = 10
"""Listeners below which a validation says nothing and the first settings of the grid are taken."""


@dataclass(frozen=True)
class Recipe:
    """A model and the settings it may take.

    Attributes:
        name: what bundle, leaderboard and gate call it; a change of what it does is a new name.
        grid: settings to choose from, the default first.
    """

    name: str
    grid: tuple[Model, ...]

    def build(self, settings: Mapping[str, Any]) -> Model:
        """Return the model of settings picked before."""
        return replace(self.grid[0], **settings)

    def tuned(self, train: Interactions) -> Model:
        """Return the settings with the best NDCG on the last fifth of the training time."""
        if len(self.grid) == 1:
            return self.grid[0]
        part = split_at(train, cutoff_of(train))
        if part.listeners < _MIN_VALIDATION:
            return self.grid[0]
        judges = np.random.default_rng(7).permutation(part.listeners)[:_MAX_VALIDATION]
        history, test = part.history[judges], part.test[judges]
        scores = []
        for model in self.grid:
            fitted = _small(model).fit(part.train)
            ranked = fitted.recommend(history, k=K)
            scores.append(float(evaluate(ranked, test, k=K, items=len(fitted.items)).ndcg.mean()))
        return self.grid[scores.index(max(scores))]


def _small(model: Model) -> Model:
    return replace(model, max_items=min(model.max_items, _TUNING_ITEMS)) if isinstance(model, Ease) else model


POPULARITY: Final = "popularity"
EASE: Final = "ease"

_RECIPES: Final = (
    Recipe(POPULARITY, (Popularity(), Popularity(90), Popularity(30), Popularity(7))),
    Recipe(
        EASE,
        tuple(
            Ease(strength=strength, weighting=weighting)
            for strength in (100.0, 10.0, 30.0, 300.0, 1000.0)
            for weighting in get_args(Weighting)
        ),
    ),
)


def recipe(name: str) -> Recipe:
    """Return a recipe by its name.

    Raises:
        ConfigurationError: no such recipe.
    """
    known = {entry.name: entry for entry in _RECIPES}
    if name not in known:
        raise ConfigurationError(f"there is no recipe {name!r}; valid: {', '.join(known)}")
    return known[name]
