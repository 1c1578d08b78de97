"""An index of the catalogue's names in memory: found with typing errors, and while every store is away.

Names are cut into trigrams of their normal form. A query finds the names that share most trigrams with it, by counting
over the postings; only those are compared letter by letter. The cost is that of the postings, not of the catalogue.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from rapidfuzz import fuzz

from music_assets.sources.items import normal
from serving.views import Source, View
from streaming.tables import silver
from streaming.topics import catalog_topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from streaming.lake import Lake

_CANDIDATES: Final = 200
"""Names compared letter by letter: some 0.2 ms."""
_LEAST: Final = 60.0
"""Score below which a name is another name."""


class Hit(NamedTuple):
    """A name that was found: score 0 to 100, 100 is the name itself."""

    item_id: str
    name: str
    score: float


class SearchIndex:
    """The names of the catalogue by their trigrams.

    Args:
        items: ids and names.
    """

    def __init__(self, items: list[tuple[str, str]]) -> None:
        self._items = items
        self._plain = [normal(name) for _, name in items]
        postings: dict[str, list[int]] = defaultdict(list)
        for number, plain in enumerate(self._plain):
            for trigram in set(_trigrams(plain)):
                postings[trigram].append(number)
        self._postings = {trigram: np.asarray(numbers, np.int32) for trigram, numbers in postings.items()}
        self._sizes = np.asarray([max(len(set(_trigrams(plain))), 1) for plain in self._plain], np.float32)
        kinds = np.asarray([item_id.partition(":")[0] for item_id, _ in items], dtype=object)
        self._of_kind: dict[str, NDArray[np.bool_]] = {str(kind): kinds == kind for kind in set(kinds.tolist())}

    def __len__(self) -> int:
        return len(self._items)

    def find(self, text: str, *, kind: str | None, k: int) -> list[Hit]:
        """Return the names most like a text, the best first."""
        plain = normal(text)
        found = [self._postings[trigram] for trigram in set(_trigrams(plain)) if trigram in self._postings]
        if not found:
            return []
        shared = np.bincount(np.concatenate(found), minlength=len(self._items)).astype(np.float32)
        if kind is not None:
            shared *= self._of_kind.get(kind, np.zeros(len(self._items), np.bool_))
        # Of names that share as much, the shorter one is closer: `Air` before `Air Supply`.
        closeness = shared - 0.001 * self._sizes
        count = min(_CANDIDATES, int(np.count_nonzero(shared)))
        nearest: list[int] = np.argpartition(-closeness, count - 1)[:count].tolist() if count else []
        hits = [
            Hit(self._items[number][0], self._items[number][1], round(_score(plain, self._plain[number]), 1))
            for number in nearest
        ]
        hits.sort(key=lambda hit: (-hit.score, len(hit.name), hit.item_id))
        return [hit for hit in hits if hit.score >= _LEAST][:k]


SearchView = View[SearchIndex]


def search_view(lake: Lake) -> SearchView:
    """Return the view of the index; it is made beside the requests, not in one."""
    sources = [Source(silver(topic.table), ("item_id", "name")) for topic in catalog_topics()]
    return View(lake, sources, build=_build, empty=SearchIndex([]))


def _build(tables: list[pa.Table]) -> SearchIndex:
    return SearchIndex(
        [pair for table in tables for pair in zip(table["item_id"].to_pylist(), table["name"].to_pylist(), strict=True)]
    )


def _trigrams(plain: str) -> Iterator[str]:
    for word in plain.split():
        padded = f"  {word} "
        for at in range(len(padded) - 2):
            yield padded[at : at + 3]


def _score(query: str, name: str) -> float:
    """Likeness of the whole; a little less for a name that holds the query among other words."""
    return max(fuzz.ratio(query, name), 0.9 * fuzz.token_set_ratio(query, name))
