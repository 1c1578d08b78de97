"""Answers that are ready: what a bundle said to a history stays true until one of the two changes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from serving.lately import keep
from serving.recommend.listed import NONE, Listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set

    from music_assets.recommender.bundle import Bundle
    from music_assets.recommender.scored import Scored
    from serving.histories import History

_KEPT: Final = 5000
"""Answers kept, some 12 KB each with twenty items, half of it as they are written."""


class Ready:
    """What bundles answered lately."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[object, ...], Listed] = OrderedDict()

    def recommend(
        self, bundle: Bundle, listener_id: str, history: History, *, k: int, exclude: Set[str]
    ) -> tuple[Listed, bool]:
        """Return what a bundle recommends, and whether it was ready.

        Args:
            bundle: whose answer.
            listener_id: whose history: kept as a part of what is asked, so that two listeners never share an answer.
            history: of the listener.
            k: how many.
            exclude: item ids not to return.
        """
        asked = (bundle.version, listener_id, k, history.mark, frozenset(exclude))
        return self._once(asked, lambda: bundle.recommend(history.heard, k=k, exclude=exclude))

    def fitting(self, bundle: Bundle, listener_id: str, history: History, *, exclude: Set[str]) -> Listed:
        """Return what of a bundle's shelf fits a history, best first.

        Args:
            bundle: whose shelf.
            listener_id: whose history.
            history: of the listener.
            exclude: item ids not to return.
        """
        shelf = bundle.shelf
        if shelf is None:
            return NONE
        asked = (bundle.version, listener_id, None, history.mark, frozenset(exclude))
        return self._once(asked, lambda: list(shelf.fitting(history.heard, exclude=exclude).values()))[0]

    def _once(self, asked: tuple[object, ...], answer: Callable[[], Sequence[Scored]]) -> tuple[Listed, bool]:
        found = self._answers.get(asked)
        if found is not None:
            self._answers.move_to_end(asked)
            return found, True
        found = Listed(tuple(answer()))
        keep(self._answers, asked, found, most=_KEPT)
        return found, False

    def forget(self, listener_id: str) -> None:
        """Drop what was answered to a listener who was erased."""
        for asked in [asked for asked in self._answers if asked[1] == listener_id]:
            del self._answers[asked]
