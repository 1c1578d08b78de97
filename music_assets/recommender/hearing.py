"""What a release is decided on, and who asks to serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_assets.recommender.candidates import Candidate, measured
from music_assets.recommender.gate import Champion
from music_assets.recommender.names import EASE, POPULARITY, TWO_STAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from music_assets.recommender import bundle
    from music_assets.recommender.interactions import Interactions


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """What a release is decided on, read once for all who ask to serve.

    Attributes:
        candidates: recipe to what was trained of it.
        served: the champion's bundle, if one can be read.
        listens: all of them.
        names: item id to what a person calls it.
        contexts: where items are heard to item ids, what most listeners hear there first.
        fewer: a person says that the champion's listens are rightly gone.
    """

    candidates: Mapping[str, Candidate]
    served: bundle.Bundle | None
    listens: Interactions
    names: Mapping[str, str]
    contexts: Mapping[str, Sequence[str]]
    fewer: bool


def challengers(candidates: Mapping[str, Candidate]) -> list[Candidate]:
    """Return what asks to serve, one after the other; popularity serves where none may and nothing better did."""
    return [candidates[name] for name in (TWO_STAGE, EASE) if name in candidates]


def judged_champion(
    challenger: Candidate, candidates: Mapping[str, Candidate], served: bundle.Bundle | None
) -> Champion | None:
    """Return the champion as the gate sees it; popularity is compared with in any case and is none."""
    if served is None or served.contents.recipe == POPULARITY:
        return None
    name = served.contents.recipe
    if name != challenger.recipe and name in candidates:
        return Champion(name=name, evaluation=candidates[name].evaluation, same_recipe=False)
    aligned = served.contents.holdout.aligned(challenger.holdout.items)
    evaluation = measured(aligned, challenger.history, challenger.test)
    return Champion(name=served.version, evaluation=evaluation, same_recipe=name == challenger.recipe)
