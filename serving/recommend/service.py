"""Walks down the ladder: personal, trending, popular; and puts what was shown on its topic."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import structlog

from music_assets.recommender.scored import Scored
from serving.recommend.choice import ANONYMOUS, Choice, Listener
from serving.recommend.filters import ANYTHING, Wanted
from serving.recommend.schemas import RecommendationAnswer, RecommendedItem
from serving.recommend.taste import taste
from serving.wire import encode, written
from streaming.errors import UnavailableError
from streaming.events import RecommendationEvent
from streaming.outgoing import Outgoing
from streaming.structs import struct_of
from streaming.tables import TRENDING_1H

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Set

    from music_assets.recommender.bundle import Bundle
    from serving.cache import Cache
    from serving.catalog import Details, Names
    from serving.events.service import Outbox
    from serving.identity.service import Identity
    from serving.metrics import Metrics
    from serving.privacy.choices import Choices
    from serving.recommend.ready import Ready
    from serving.recommend.trial import Trial, Turn
    from serving.trending.store import TrendingView

NO_MODEL: Final = "none"
TOPIC: Final = "music_recommendations"

_PUBLISH_SECONDS: Final = 0.05
"""How long an answer waits for its exposure's acknowledgement: ten times what a broker nearby takes."""

_POPULARITY: Final = "popularity"
_FILTERED: Final = 500
"""Items that a rung is asked for when a filter takes some away."""
_FRESH: Final = timedelta(minutes=TRENDING_1H.stale_after_minutes)

_log = structlog.get_logger()


ANSWER: Final = written(RecommendationAnswer)
ITEM: Final = written(RecommendedItem)
EXPOSURE: Final = struct_of(RecommendationEvent, exact=True)


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


class Exposures:
    """Puts one message per answer on the topic, without letting the broker slow the answer down."""

    def __init__(self, outbox: Outbox, metrics: Metrics) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._running: set[asyncio.Task[None]] = set()

    async def publish(self, event: Any) -> None:
        """Send an exposure, an `EXPOSURE`; come back when it is safe or when an answer should wait no longer."""
        task = asyncio.create_task(self._put(Outgoing(TOPIC, event.user_id, encode(event), event.event_id)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.wait({task}, timeout=_PUBLISH_SECONDS)

    async def finish(self, seconds: float) -> None:
        """Wait for what is still under way, at the end of the process."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=seconds)

    async def _put(self, message: Outgoing) -> None:
        try:
            await self._outbox.put([message])
        except UnavailableError as error:
            self._metrics.exposure_lost()
            _log.warning("exposure lost", error=str(error))


class Recommender:
    """Recommends to a listener."""

    def __init__(
        self, trial: Trial, *, identity: Identity, choices: Choices, cache: Cache, trending: TrendingView,
        names: Names, details: Details, exposures: Exposures, ready: Ready, metrics: Metrics,
    ) -> None:  # fmt: skip
        self._trial = trial
        self._identity = identity
        self._choices = choices
        self._cache = cache
        self._trending = trending
        self._names = names
        self._details = details
        self._exposures = exposures
        self._metrics = metrics
        self._ready = ready

    async def recommend(self, user_id: str, *, k: int, wanted: Wanted = ANYTHING) -> Any:
        """Return k recommendations, or as many as there are: a `RecommendationAnswer` as it is written.

        Args:
            user_id: as the client names the user.
            k: how many.
            wanted: what kind of items; others are left out of what a rung offers.

        Raises:
            UnavailableError: there is neither a model nor a chart yet.
        """
        listener = await self._listener(user_id)
        recommendation_id, turn = str(uuid4()), self._trial.turn(listener.listener_id)
        hidden = self._choices.hidden(listener.listener_id)
        choice = self._choose(turn.bundle, listener, k if wanted is ANYTHING else _FILTERED, hidden)
        if choice is None:
            raise UnavailableError("there is nothing to recommend yet: no model was released and nothing is trending")
        if wanted is ANYTHING:
            self._trial.shadow(turn, choice, listener.history, k=k)
            seed = f"{recommendation_id} {listener.listener_id}"
            choice = self._trial.explored(choice, turn.bundle, listener, hidden, seed=seed)
        else:
            details = self._details.value
            items = [item for item in choice.items if wanted.takes(item.item_id, details.get(item.item_id))][:k]
            choice = replace(choice, items=items)
        if choice.items:
            await self._exposures.publish(_exposure(recommendation_id, listener, turn, choice))
        self._metrics.served(choice.rung)
        version = turn.bundle.version if turn.bundle else None
        return ANSWER(
            recommendation_id=recommendation_id, rung=choice.rung, model_version=version, as_of=choice.as_of,
            degraded=listener.degraded or version is None, items=listed(choice.items, self._names.value, make=ITEM),
        )  # fmt: skip

    async def _listener(self, user_id: str) -> Listener:
        resolved = await self._identity.resolve([user_id], create=False)
        listener_id = resolved.listeners.get(user_id)
        if listener_id is None or self._choices.has_paused(listener_id):
            return Listener(listener_id=ANONYMOUS, history={}, degraded=not resolved.complete)
        try:
            history = taste(*await self._cache.history(listener_id))
        except UnavailableError:
            self._metrics.cache("histories", "error")
            return Listener(listener_id=listener_id, history={}, degraded=True)
        self._metrics.cache("histories", "hit" if history else "miss")
        return Listener(listener_id=listener_id, history=history, degraded=False)

    def _choose(self, bundle: Bundle | None, listener: Listener, k: int, hidden: Set[str]) -> Choice | None:
        history = listener.history
        if bundle is not None and history:
            items, was_ready = self._ready.recommend(bundle, listener.listener_id, history, k=k, exclude=hidden)
            self._metrics.cache("answers", "hit" if was_ready else "miss")
            # What only popularity fills up says nothing about this listener.
            if any(item.source != _POPULARITY for item in items):
                return Choice(rung="personal", as_of=bundle.created_at, items=items)
        chart = self._trending.value["1h"]
        if chart.as_of is not None and datetime.now(UTC) - chart.as_of <= _FRESH:
            rows = [row for row in chart.rows if row.item_id not in history and row.item_id not in hidden][:k]
            if rows:
                items = [
                    Scored(row.item_id, row.score, "trending", "among the most played of the last hour") for row in rows
                ]
                return Choice(rung="trending", as_of=chart.as_of, items=items)
        if bundle is not None and (items := bundle.popular(k=k, exclude=history.keys() | hidden)):
            return Choice(rung="popular", as_of=bundle.created_at, items=items)
        return None


def _exposure(recommendation_id: str, listener: Listener, turn: Turn, choice: Choice) -> Any:
    return EXPOSURE(
        event_id=recommendation_id,
        user_id=listener.listener_id,
        timestamp=datetime.now(UTC),
        model_version=turn.bundle.version if turn.bundle else NO_MODEL,
        rung=choice.rung,
        item_ids=[item.item_id for item in choice.items],
        sources=[item.source for item in choice.items],
        reasons=[item.reason for item in choice.items],
        experiment=turn.experiment,
        arm=turn.arm,
        propensities=None if choice.propensities is None else list(choice.propensities),
    )
