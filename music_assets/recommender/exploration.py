"""Exploration: now and then a place goes to an item that no model would show, with a probability that is written down.

Each place is given away on its own with probability `share`, to an item that is uniform over the pool. So the
probability that a place shows what it shows is known exactly, `1 - share` for what was ranked there and
`share / len(pool)` for an item of the pool, and what was seen can be reweighted to what another ranking would have
seen (`music_assets.recommender.offpolicy`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE: Final = "exploration"
"""Candidate source of an explored item."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place of an answer: what it shows, with which probability, and whether that was explored."""

    item_id: str
    propensity: float
    explored: bool


def explore(ranked: Sequence[str], pool: Sequence[str], *, share: float, seed: str) -> list[Place]:
    """Give places away.

    Args:
        ranked: items in order of rank.
        pool: items that may be tried, none of them ranked; one that is smaller than the answer gives nothing away,
            because its items would not be uniform over the places any more.
        share: probability with which a place is given away, in [0, 1).
        seed: what the draw follows from; the same gives the same.

    Returns:
        One place per ranked item, each item once.
    """
    if share <= 0 or len(pool) < len(ranked):
        return [Place(item, 1.0, explored=False) for item in ranked]
    draw = random.Random(seed)  # noqa: S311 - nothing is kept secret by it
    # One item of the pool for every place, whether it is used or not: without replacement, so no item comes twice,
    # and for each place alone uniform over the pool.
    tried = draw.sample(pool, len(ranked))
    places = []
    for item, other in zip(ranked, tried, strict=True):
        if draw.random() < share:
            places.append(Place(other, share / len(pool), explored=True))
        else:
            places.append(Place(item, 1 - share, explored=False))
    return places
