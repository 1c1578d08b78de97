"""Known answers: what a model said when it was made, so that whoever loads it later can ask again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from music_assets.recommender.models.base import FittedModel

_HISTORY: Final = 3
_ANSWERS: Final = 10


def probe(model: FittedModel) -> list[dict[str, Any]]:
    """Return what the model answers to a made-up listener of its most popular items."""
    heard = model.by_popularity[:_HISTORY]
    answers = model.fold_in(
        heard, np.ones(len(heard), dtype=np.float32), k=_ANSWERS, exclude=np.empty(0, dtype=np.int64)
    )
    return [{"item_id": model.items[place], "score": score} for place, score, _ in answers]


def agrees(ours: Iterable[Mapping[str, Any]], known: Iterable[Mapping[str, Any]]) -> bool:
    """Compare answers: the same scores within float32, the same items but where scores are that close."""
    ours, known = list(ours), list(known)
    return (
        len(ours) == len(known)
        and all(
            np.isclose(mine["score"], its["score"], rtol=1e-4, atol=1e-7) for mine, its in zip(ours, known, strict=True)
        )
        and {entry["item_id"] for entry in ours} == {entry["item_id"] for entry in known}
    )
