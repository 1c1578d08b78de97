"""The second stage in daily training: trees that learn from the last listens before the cut-off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from music_assets.recommender.candidates import Candidate, fingerprint, measured
from music_assets.recommender.metrics import K
from music_assets.recommender.names import TWO_STAGE
from music_assets.recommender.recipes import recipe
from music_assets.recommender.split import cutoff_of, split_at
from music_assets.recommender.trees import grow
from music_assets.recommender.two_stage import Examples, TwoStage, examples, feature_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from music_assets.recommender.interactions import Interactions
    from music_assets.recommender.models.base import FittedModel
    from music_assets.recommender.split import Split

_MIN_HEARD: Final = 300
"""Candidates that were heard: with fewer the trees learn the few listeners by heart."""

_MAX_LISTENERS: Final = 5000
"""Listeners, drawn at random, whose candidates become examples: a million rows for a dozen features. More would take
time and memory and not change the trees."""


def second_stage(split: Split, stages: Mapping[str, Candidate]) -> Candidate | str:
    """Grow trees over candidates and measure both stages after the cut-off.

    The models that rate for the trees are fitted without the last fifth of the training time, in which the labels
    lie; those that propose in the end are the candidates themselves, which know all of it.

    Args:
        split: as the candidates were fitted and measured.
        stages: recipe to its candidate, the one that explains first.

    Returns:
        The candidate, or a sentence that says why there is none.
    """
    rated = _rated(split, stages)
    heard = int(rated.label.sum()) if rated else 0
    if rated is None or heard < _MIN_HEARD:
        return f"no second stage: {heard} proposed items were heard, {_MIN_HEARD} are needed"
    trees = grow(rated, feature_names(list(stages)), k=K)
    model = _staged({name: stage.holdout for name, stage in stages.items()}, trees.text)
    return Candidate(
        recipe=TWO_STAGE,
        settings={"stages": {name: stage.settings for name, stage in stages.items()}, "trees": trees.settings},
        cutoff=split.cutoff,
        data=fingerprint(split),
        holdout=model,
        evaluation=measured(model, split.history, split.test),
        history=split.history,
        test=split.test,
    )


def fitted_again(candidate: Candidate, listens: Interactions) -> FittedModel:
    """Return a candidate's model fitted to all listens; trees stay as they were grown."""
    if not isinstance(candidate.holdout, TwoStage):
        return _fitted(candidate.recipe, candidate.settings, listens)
    stages = candidate.settings["stages"]
    models = {name: _fitted(name, settings, listens) for name, settings in stages.items()}
    return _staged(models, candidate.holdout.trees)


def _rated(split: Split, stages: Mapping[str, Candidate]) -> Examples | None:
    part = split_at(split.train, cutoff_of(split.train), most=_MAX_LISTENERS)
    if not part.listeners:
        return None
    models = [_fitted(name, stage.settings, part.train) for name, stage in stages.items()]
    return examples(models, part.history, part.test)


def _fitted(name: str, settings: Mapping[str, Any], listens: Interactions) -> FittedModel:
    return recipe(name).build(settings).fit(listens)


def _staged(models: Mapping[str, FittedModel], trees: str) -> TwoStage:
    first = next(iter(models.values()))
    return TwoStage(
        items=first.items,
        popularity=first.popularity,
        names=tuple(models),
        models=tuple(models.values()),
        trees=trees,
    )
