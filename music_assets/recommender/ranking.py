"""The second stage in daily training: trees that learn from the last listens before the cut-off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from music_assets.recommender.candidates import Candidate, fingerprint, measured
from music_assets.recommender.examples import Examples, examples
from music_assets.recommender.gate import MARGIN
from music_assets.recommender.metrics import K
from music_assets.recommender.names import TWO_STAGE
from music_assets.recommender.places import weighed
from music_assets.recommender.recipes import recipe
from music_assets.recommender.shown import shown_examples
from music_assets.recommender.split import cutoff_of, split_at
from music_assets.recommender.trees import grow
from music_assets.recommender.two_stage import TwoStage, feature_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from music_assets.recommender.exposures import Exposures
    from music_assets.recommender.interactions import Interactions
    from music_assets.recommender.models.base import FittedModel
    from music_assets.recommender.split import Split
    from music_assets.recommender.trees import Trees

_MIN_HEARD: Final = 300
"""Candidates that were heard: with fewer the trees learn the few listeners by heart."""

_MAX_LISTENERS: Final = 5000
"""Listeners, drawn at random, whose candidates become examples: a million rows for a dozen features. More would take
time and memory and not change the trees."""


_MIN_PLAYS: Final = 500
"""Places that were played: fifty for each place of a list of ten, which tell its odds to about a seventh. With fewer
the places would be learnt wrong, and with them the items that stood there."""


def second_stage(split: Split, stages: Mapping[str, Candidate], exposures: Exposures | None = None) -> Candidate | str:
    """Grow trees over candidates and measure both stages after the cut-off.

    The models that rate for the trees are fitted without the last fifth of the training time, in which the labels
    lie; those that propose in the end are the candidates themselves, which know all of it.

    Args:
        split: as the candidates were fitted and measured.
        stages: recipe to its candidate, the one that explains first.
        exposures: what was shown; what of it lies in that fifth is learnt from too, if enough of it was played.

    Returns:
        The candidate, or a sentence that says why there is none.
    """
    lesson = _Lesson.of(split, stages)
    heard = int(lesson.rated.label.sum()) if lesson else 0
    if lesson is None or heard < _MIN_HEARD:
        return f"no second stage: {heard} proposed items were heard, {_MIN_HEARD} are needed"
    trees = grow(lesson.rated, lesson.names, k=K)
    told: dict[str, Any] = {}
    if exposures is not None and len(exposures):
        trees, told = _taught(trees, lesson, split, exposures)
    model = _staged({name: stage.holdout for name, stage in stages.items()}, trees.text)
    return Candidate(
        recipe=TWO_STAGE,
        settings={"stages": {name: stage.settings for name, stage in stages.items()}, "trees": trees.settings, **told},
        cutoff=split.cutoff,
        data=fingerprint(split),
        holdout=model,
        evaluation=measured(model, split.history, split.test),
        history=split.history,
        test=split.test,
    )


@dataclass(frozen=True, kw_only=True)
class _Lesson:
    """What the trees learn from.

    Attributes:
        names: of the features.
        models: fitted to what lies before the labels.
        rated: listens that they had not seen.
        listeners: ids of those whose listens these are, one for each group.
    """

    names: list[str]
    models: list[FittedModel]
    rated: Examples
    listeners: tuple[str, ...]

    @classmethod
    def of(cls, split: Split, stages: Mapping[str, Candidate]) -> _Lesson | None:
        part = split_at(split.train, cutoff_of(split.train), most=_MAX_LISTENERS)
        if not part.listeners:
            return None
        models = [_fitted(name, stage.settings, part.train) for name, stage in stages.items()]
        return cls(
            names=feature_names(list(stages)),
            models=models,
            rated=examples(models, part.history, part.test),
            listeners=tuple(part.train.users[judge] for judge in part.judges.tolist()),
        )


def _taught(plain: Trees, lesson: _Lesson, split: Split, exposures: Exposures) -> tuple[Trees, dict[str, Any]]:
    """Return trees that learnt from what was shown as well if they may serve, and what to tell of it."""
    window = exposures.between(cutoff_of(split.train), split.cutoff)
    shown = shown_examples(lesson.models, window, split.train, lesson.listeners)
    told: dict[str, Any] = {"answers": shown.answers, "places": len(shown.place), "plays": shown.plays}
    if shown.plays < _MIN_PLAYS:
        told |= {"learnt": False, "reason": f"{shown.plays} places shown were played, {_MIN_PLAYS} are needed"}
        return plain, {"shown": told}
    shown, odds = weighed(shown)
    trees = grow(lesson.rated, lesson.names, k=K, shown=shown)
    told["odds"] = {str(place): worth for place, worth in odds.items()}
    told |= {"ndcg": round(trees.ndcg, 4), "ndcg_without": round(plain.ndcg, 4)}
    # What was heard unasked also follows what was shown, so that a little less there is no reason. What the gate would
    # call a worse model is one.
    if trees.ndcg < plain.ndcg * (1 - MARGIN):
        told |= {"learnt": False, "reason": f"NDCG@{K} on listens set apart would fall by more than {MARGIN:.0%}"}
        return plain, {"shown": told}
    return trees, {"shown": {**told, "learnt": True}}


def fitted_again(candidate: Candidate, listens: Interactions) -> FittedModel:
    """Return a candidate's model fitted to all listens; trees stay as they were grown."""
    if not isinstance(candidate.holdout, TwoStage):
        return _fitted(candidate.recipe, candidate.settings, listens)
    stages = candidate.settings["stages"]
    models = {name: _fitted(name, settings, listens) for name, settings in stages.items()}
    return _staged(models, candidate.holdout.trees)


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
