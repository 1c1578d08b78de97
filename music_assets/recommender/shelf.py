"""The shelf: items of the catalogue that nobody has heard, and whom of the listeners they fit.

No model that learns from listens can propose them. What the catalogue says of them can: the shelf compares it with
what a listener heard, and names the few that fit. What of these is shown is drawn, with a probability that is written
down (`music_assets.recommender.exploration`); the places that the models fill are ranked as if there were no shelf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from music_assets.recommender.metrics import K
from music_assets.recommender.models.base import top, weigh
from music_assets.recommender.models.content import Content, ContentModel
from music_assets.recommender.names import CONTENT
from music_assets.recommender.scored import Scored

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Set

    from numpy.typing import NDArray

    from music_assets.recommender.interactions import Interactions
    from music_assets.recommender.split import Split

SIZE: Final = 2000
"""Items on the shelf: an answer compares them all with the listener, in 0.4 to 1.2 ms of CPU."""

FITTING: Final = 20
"""Items that may be tried on one listener: fewer would be few chances for an item, more would fit less."""

_FITS: Final = 0.1
"""Cosine with the listener below which an item does not fit: nothing is shown then."""

_KIND_SHARE: Final = 0.1
"""Share of the listens below which a kind of items is not what people listen to here: where tracks are heard, an album
that nobody heard is no news."""

_SEED: Final = 7


def unheard(listens: Interactions) -> list[str]:
    """Return items of the catalogue that nobody heard and of which something is known, the newest release first.

    Those of one date come in an order that changes with the day of the last listen, so that all take their turns.
    """
    known = listens.features
    if known is None or not len(listens):
        return []
    heard, kinds = set(listens.items), _kinds(listens)
    found = [
        (known.released[number] or "", item)
        for number, item in enumerate(known.items)
        if known.released[number] is not None and known.known[number] and item not in heard and _kind(item) in kinds
    ]
    turn = np.random.default_rng([_SEED, int(listens.time.max()) // 86_400_000_000]).permutation(len(found))
    return [found[place][1] for place in sorted(turn.tolist(), key=lambda place: found[place][0], reverse=True)]


def stocked(model: Content, listens: Interactions, *, size: int = SIZE) -> ContentModel | None:
    """Return a content model of what was heard and of the newest that was not; None where there is nothing such.

    Args:
        model: how much each group of features says.
        listens: all of them, with features.
        size: most items that nobody heard.
    """
    fresh = unheard(listens)[:size]
    if not fresh or listens.features is None:
        return None
    items = (*listens.items, *fresh)
    popularity = np.zeros(len(items), dtype=np.float32)
    popularity[: len(listens.items)] = listens.listeners
    features = model.features(listens.features, items)
    return ContentModel(items=items, popularity=popularity, features=features, weighting=model.weighting)


class Shelf:
    """Items that nobody heard, in one bundle."""

    def __init__(self, model: ContentModel, heard: Container[str], names: Mapping[str, str]) -> None:
        """Put on the shelf what a content model knows beyond the items heard."""
        self._model, self._names = model, names
        columns = np.asarray([place for place, item in enumerate(model.items) if item not in heard], dtype=np.int64)
        self._items = [model.items[column] for column in columns]
        self._place = {item: place for place, item in enumerate(self._items)}
        self._features = model.features[columns]

    def fitting(self, history: Mapping[str, float], *, exclude: Set[str], most: int = FITTING) -> dict[str, Scored]:
        """Return items that fit a listener, by their ids, best first.

        Args:
            history: item id to listens.
            exclude: item ids not to return.
            most: how many at most.
        """
        heard, weights = self._weighed(history)
        profile = _profile(self._model.features[heard], weights)
        # Not by BLAS: its threads wait longer than they work.
        length = float(np.sqrt(np.square(profile).sum()))
        if not length:
            return {}
        cosine = np.asarray(self._features @ profile / length, dtype=np.float32)
        cosine[[self._place[item] for item in (*history, *exclude) if item in self._place]] = -np.inf
        best = [place for place in top(cosine[None, :], most)[0].tolist() if place >= 0 and cosine[place] >= _FITS]
        loudest = self._loudest(heard, weights, best)
        return {
            self._items[place]: Scored(
                self._items[place], float(cosine[place]), CONTENT,
                f"nobody played it yet: like {self._name(because)}, which you played",
            )
            for place, because in zip(best, loudest, strict=True)
        }  # fmt: skip

    def similar(self, item_id: str, *, k: int) -> list[Scored]:
        """Return what is most like an item, heard or not, best first; empty if it is unknown."""
        place = self._model.column.get(item_id)
        found = [] if place is None else self._model.similar(place, k=k)
        reason = f"like {self._name(item_id)}"
        return [Scored(self._model.items[other], score, CONTENT, reason) for other, score in found]

    def _loudest(self, heard: NDArray[np.int64], weights: NDArray[np.float32], best: list[int]) -> list[str]:
        """Return for each item on the shelf the item heard that is most like it."""
        said = (self._model.features[heard] @ self._features[best].T).toarray() * weights[:, None]
        return [self._model.items[heard[row]] for row in said.argmax(axis=0)]

    def _name(self, item_id: str) -> str:
        return self._names.get(item_id, item_id)

    def _weighed(self, history: Mapping[str, float]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        known = [item for item in history if item in self._model.column]
        heard = np.asarray([self._model.column[item] for item in known], dtype=np.int64)
        counts = np.asarray([history[item] for item in known], dtype=np.float32)
        return heard, np.asarray(weigh(counts, self._model.weighting), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """How well a content model would have foreseen who hears what nobody had heard before the cut-off.

    Attributes:
        listeners: that later heard such an item.
        items: that they were to be found among.
        recall: share of what a listener heard of them that was in the first K, mean over listeners.
        chance: the same of an order by chance, which is also that of popularity: all of them have none.
    """

    listeners: int
    items: int
    recall: float
    chance: float


def foreseen(model: Content, split: Split, listens: Interactions, *, k: int = K) -> Foreseen:
    """Rank for each listener under test what nobody had heard before the cut-off, by content alone.

    Args:
        model: how much each group of features says.
        split: of the listens.
        listens: all of them, with features; what is known of an item is taken to have been known at the cut-off.
        k: length of the list.
    """
    width = len(split.train.items)
    fresh = unheard(split.train)
    place = {item: number for number, item in enumerate(fresh)}
    later = split.test[:, width:].tocoo()
    columns = np.asarray([place.get(listens.items[column], -1) for column in later.col], dtype=np.int64)
    row, column = later.row[columns >= 0], columns[columns >= 0]
    rows = np.unique(row)
    if not len(rows) or listens.features is None:
        return Foreseen(listeners=0, items=len(fresh), recall=0.0, chance=0.0)
    known = model.features(listens.features, (*split.train.items, *fresh))
    found = np.zeros(len(rows))
    for number, listener in enumerate(rows.tolist()):
        history = split.history[listener]
        profile = _profile(known[history.indices], weigh(history.data, model.weighting))
        best = top(np.asarray(known[width:] @ profile, dtype=np.float32)[None, :], k)[0]
        wanted = column[row == listener]
        found[number] = np.isin(wanted, best).mean()
    return Foreseen(
        listeners=len(rows), items=len(fresh), recall=float(found.mean()), chance=min(k / max(len(fresh), 1), 1.0)
    )


def _profile(features: Any, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the weighed sum of rows, shape (features,)."""
    loud = np.repeat(weights, np.diff(features.indptr))
    return np.bincount(features.indices, features.data * loud, minlength=features.shape[1]).astype(
        np.float64, copy=False
    )


def _kind(item: str) -> str:
    return item.partition(":")[0]


def _kinds(listens: Interactions) -> set[str]:
    """Return the kinds of items that people listen to."""
    times = np.bincount(listens.item, minlength=len(listens.items))
    counted: dict[str, int] = {}
    for item, count in zip(listens.items, times.tolist(), strict=True):
        counted[_kind(item)] = counted.get(_kind(item), 0) + count
    return {kind for kind, count in counted.items() if count >= _KIND_SHARE * len(listens)}
