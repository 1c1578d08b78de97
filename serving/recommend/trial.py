"""Which bundle answers whom, what is tried beside it without being shown, and which places are given away."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from music_assets.recommender.exploration import Pool, explore
from serving.recommend.choice import ANONYMOUS, Choice
from serving.recommend.listed import Listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from music_assets.recommender.assignment import Arm, Experiment
    from music_assets.recommender.bundle import Bundle
    from music_assets.recommender.exploration import Place
    from music_assets.recommender.scored import Scored
    from serving.metrics import Metrics
    from serving.recommend.choice import Listener
    from serving.recommend.models import Models
    from serving.recommend.ready import Ready

_EXPLORED: Final = frozenset({"personal", "popular"})
"""Rungs that a bundle answers: the chart is what it is."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Whose turn it is: the bundle that answers, and the arm it answers for, if the listener takes part."""

    bundle: Bundle | None
    experiment: str | None = None
    arm: Arm | None = None


class Trial:
    """Deals listeners to bundles as the experiment says, and explores as the setting says."""

    def __init__(
        self, models: Models, metrics: Metrics, ready: Ready, *, experiment: Experiment | None, share: float,
        newcomers: float = 0,
    ) -> None:  # fmt: skip
        self._models = models
        self._ready = ready
        self._metrics = metrics
        self._experiment = experiment
        self._share = share
        self._newcomers = newcomers
        self._running: set[asyncio.Task[None]] = set()

    def turn(self, listener_id: str) -> Turn:
        """Return whose turn it is; who has no id of their own takes no part.

        A challenger that is not there is answered for by the champion: the arm stays, the model's version tells.
        """
        champion = self._models.current
        arm = None if self._experiment is None or listener_id == ANONYMOUS else self._experiment.arm(listener_id)
        if self._experiment is None or arm is None:
            return Turn(bundle=champion)
        bundle = (self._models.challenger or champion) if arm == "challenger" else champion
        return Turn(bundle=bundle, experiment=self._experiment.name, arm=arm)

    def explored(
        self, choice: Choice, bundle: Bundle | None, listener: Listener, hidden: Set[str], *, seed: str
    ) -> Choice:
        """Give places of an answer away, with the probabilities written down; the same seed gives the same.

        Args:
            choice: the answer as it would be.
            bundle: what answered.
            listener: what they heard is not tried.
            hidden: items they never want to see.
            seed: of the draw.
        """
        if bundle is None or choice.rung not in _EXPLORED:
            return choice
        fitting = self._fitting(bundle, listener, hidden) if self._newcomers > 0 else {}
        shown = {item.item_id: item for item in choice.items.items}
        tail: list[str] = []
        if self._share > 0:
            hides = shown.keys() | listener.history.heard.keys() | hidden
            tail = [item for item in bundle.tail if item not in hides]
        if not tail and not fitting:
            return choice
        places = explore(list(shown), [Pool(tail, self._share), Pool(list(fitting), self._newcomers)], seed=seed)
        items = [_shown(place, shown, bundle, fitting) for place in places]
        return replace(choice, items=Listed(tuple(items)), propensities=[place.propensity for place in places])

    def _fitting(self, bundle: Bundle, listener: Listener, hidden: Set[str]) -> dict[str, Scored]:
        found = self._ready.fitting(bundle, listener.listener_id, listener.history, exclude=hidden)
        return {item.item_id: item for item in found.items}

    def shadow(self, turn: Turn, choice: Choice, history: Mapping[str, float], *, k: int) -> None:
        """Ask the challenger what it would have said, beside the answer, and count how much of it was shown."""
        challenger = self._models.challenger
        if turn.arm != "shadow" or challenger is None or not history:
            return
        task = asyncio.create_task(self._ask(challenger, {item.item_id for item in choice.items.items}, history, k))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _ask(self, challenger: Bundle, shown: set[str], history: Mapping[str, float], k: int) -> None:
        begin = time.perf_counter()
        answer = await asyncio.to_thread(challenger.recommend, history, k=k)
        same = len(shown & {item.item_id for item in answer}) / max(len(answer), 1)
        self._metrics.shadowed(challenger.version, seconds=time.perf_counter() - begin, overlap=same)


def _shown(place: Place, ranked: Mapping[str, Scored], bundle: Bundle, fitting: Mapping[str, Scored]) -> Scored:
    """Return what a place shows: as it was ranked, from the tail, or from the shelf."""
    if place.pool is None:
        return ranked[place.item_id]
    return fitting.get(place.item_id) or bundle.tried(place.item_id)
