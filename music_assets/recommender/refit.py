"""What a bundle holds of a candidate that may serve: fitted to everything known, with the indices it needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from music_assets.recommender.bundle import Contents
from music_assets.recommender.indexing import indexed
from music_assets.recommender.models.content import Content
from music_assets.recommender.ranking import fitted_again
from music_assets.recommender.shelf import stocked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from music_assets.recommender.candidates import Candidate
    from music_assets.recommender.interactions import Interactions


def refitted(
    candidate: Candidate, listens: Interactions, names: Mapping[str, str], contexts: Mapping[str, Sequence[str]], *,
    content: Candidate | None,
) -> Contents:  # fmt: skip
    """Return a candidate fitted to all listens.

    Args:
        candidate: what was judged.
        listens: all of them.
        names: item id to what a person calls it.
        contexts: where items are heard to item ids, what most listeners hear there first.
        content: the candidate that knows items by what the catalogue says of them, if there is one.
    """
    model, retrieval = indexed(fitted_again(candidate, listens), listens.counts)
    return Contents(
        model=model,
        holdout=candidate.holdout,
        recipe=candidate.recipe,
        settings=candidate.settings,
        metrics=candidate.evaluation.means(),
        cutoff=candidate.cutoff,
        data_until=int(listens.time.max()),
        names=names,
        contexts=contexts,
        listens=int((listens.time < candidate.cutoff).sum()),
        content=stocked(Content(**content.settings), listens) if content else None,
        retrieval={name: asdict(found) for name, found in retrieval.items()},
    )
