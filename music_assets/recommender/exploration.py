"""Exploration: now and then a place goes to an item that no model would show, with a probability that is written down.

There are pools of items to try, such as what few know and what nobody has heard. Each place is given away on its own
to a pool with that pool's probability, and then to an item that is uniform over the pool. So the probability that a
place shows what it shows is known exactly, and what was seen can be reweighted to what another ranking would have
seen (`music_assets.recommender.offpolicy`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from music_assets.recommender.names import CONTENT

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE: Final = "exploration"
"""Candidate source of an explored item."""

DRAWN: Final = (SOURCE, CONTENT)
"""Sources of what was drawn and not ranked: what few know, and what nobody has heard."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Items that may be tried.

    Attributes:
        items: none of them ranked or in another pool.
        share: probability with which a place is given away to one of them; those of all pools add up to less than 1.
    """

    items: Sequence[str]
    share: float


@dataclass(frozen=True, slots=True)
class Place:
    """A place of an answer: what it shows, with which probability, and which pool that is from, if from one."""

    item_id: str
    propensity: float
    pool: int | None


def explore(ranked: Sequence[str], pools: Sequence[Pool], *, seed: str) -> list[Place]:
    """Give places away.

    A pool that is smaller than the answer is filled up with blanks, which leave a place as it was ranked: so its items
    stay uniform over the places, and each place shows one of them with a probability that is as much smaller.

    Args:
        ranked: items in order of rank.
        pools: what may be tried.
        seed: what the draw follows from; the same gives the same.

    Returns:
        One place per ranked item, each item once.
    """
    draw = random.Random(seed)  # noqa: S311 - nothing is kept secret by it
    # One item of each pool for every place, whether it is used or not: without replacement, so no item comes twice,
    # and for each place alone uniform over the pool.
    tried = [draw.sample(range(max(len(pool.items), len(ranked))), len(ranked)) for pool in pools]
    each = [pool.share / max(len(pool.items), len(ranked), 1) for pool in pools]
    stays = 1 - sum(one * len(pool.items) for one, pool in zip(each, pools, strict=True))
    places = []
    for number, item in enumerate(ranked):
        pool = _drawn(pools, draw.random())
        if pool is not None and tried[pool][number] < len(pools[pool].items):
            places.append(Place(pools[pool].items[tried[pool][number]], each[pool], pool))
        else:
            places.append(Place(item, stays, None))
    return places


def _drawn(pools: Sequence[Pool], point: float) -> int | None:
    """Return the pool whose part of the unit interval a point lies in, or None beyond all of them."""
    for number, pool in enumerate(pools):
        if point < pool.share:
            return number
        point -= pool.share
    return None
