"""Items as an answer and its exposure list them: written once, however often they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from music_assets.recommender.names import POPULARITY
from serving.recommend.schemas import RecommendedItem
from serving.wire import encode, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from music_assets.recommender.scored import Scored

_ITEM: Final = written(RecommendedItem)


class Exposed(msgspec.Struct, frozen=True, gc=False):
    """Three lists of an exposure, item by item, as JSON."""

    item_ids: msgspec.Raw
    sources: msgspec.Raw
    reasons: msgspec.Raw


class Listed(msgspec.Struct, gc=False):
    """Items, best first."""

    items: tuple[Scored, ...]
    _exposed: Exposed | None = None
    _shown: msgspec.Raw | None = None
    _names: Any = None

    @property
    def is_personal(self) -> bool:
        """Whether there is more in it than what popularity filled up, which says nothing about a listener."""
        return any(item.source != POPULARITY for item in self.items)

    def shown(self, names: Mapping[str, str]) -> msgspec.Raw:
        """Return them as the API shows them.

        Args:
            names: of all items; another mapping, not a changed one, once they are others.
        """
        if self._shown is None or self._names is not names:
            self._names, self._shown = names, msgspec.Raw(encode(listed(self.items, names, make=_ITEM)))
        return self._shown

    def exposed(self) -> Exposed:
        """Return what an exposure tells of them."""
        if self._exposed is None:
            self._exposed = Exposed(
                msgspec.Raw(encode([item.item_id for item in self.items])),
                msgspec.Raw(encode([item.source for item in self.items])),
                msgspec.Raw(encode([item.reason for item in self.items])),
            )
        return self._exposed


NONE: Final = Listed(())


def listed(
    items: Iterable[Scored], names: Mapping[str, str], *, make: Callable[..., RecommendedItem] = RecommendedItem
) -> list[RecommendedItem]:
    """Return scored items as the API shows them, ranked from 1."""
    return [
        make(
            item_id=item.item_id, name=names.get(item.item_id), rank=rank,
            score=float(item.score), reason=item.reason, source=item.source,
        )
        for rank, item in enumerate(items, start=1)
    ]  # fmt: skip
