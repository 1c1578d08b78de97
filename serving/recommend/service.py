"""Walks down the ladder: personal, trending, popular; and puts what was shown on its topic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import structlog

from music_assets.recommender.scored import Scored
from serving.histories import NOTHING
from serving.recommend.choice import ANONYMOUS, Choice, Listener
from serving.recommend.filters import ANYTHING, Wanted
from serving.recommend.listed import Listed
from serving.recommend.narrowed import narrowed, refuse_unknown
from serving.recommend.schemas import RecommendationAnswer
from serving.wire import encode, written
from streaming.errors import UnavailableError
from streaming.events import RecommendationEvent
from streaming.outgoing import Outgoing
from streaming.structs import struct_of
from streaming.tables import TRENDING_1H

if TYPE_CHECKING:
    from collections.abc import Set

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

_FILTERED: Final = 500
"""Items that a rung is asked for when a filter takes some away."""
_FRESH: Final = timedelta(minutes=TRENDING_1H.stale_after_minutes)

_log = structlog.get_logger()


ANSWER: Final = written(RecommendationAnswer)
EXPOSURE: Final = struct_of(RecommendationEvent, exact=True)


class Exposures:
    """Puts one message per answer on the topic; no answer waits for it (decision 0027)."""

    def __init__(self, outbox: Outbox, metrics: Metrics) -> None:
        self._outbox = outbox
        self._metrics = metrics

    def publish(self, event: Any) -> None:
        """Queue an exposure, an `EXPOSURE`; it is spooled where the broker does not take it."""
        self._outbox.post(Outgoing(TOPIC, event.user_id, encode(event), event.event_id), on_lost=self._lost)

    def _lost(self, reason: str) -> None:
        self._metrics.exposure_lost()
        _log.warning("exposure lost", error=reason)


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
            ContractError: nothing is heard in the context that is wanted.
            UnavailableError: there is neither a model nor a chart yet.
        """
        listener = await self._listener(user_id)
        recommendation_id, turn = str(uuid4()), self._trial.turn(listener.listener_id)
        refuse_unknown(wanted.context, turn.bundle)
        hidden = self._choices.hidden(listener.listener_id)
        choice = self._choose(turn.bundle, listener, k if wanted is ANYTHING else _FILTERED, hidden)
        if choice is None:
            raise UnavailableError("there is nothing to recommend yet: no model was released and nothing is trending")
        if wanted is ANYTHING:
            self._trial.shadow(turn, choice, listener.history.heard, k=k)
            seed = f"{recommendation_id} {listener.listener_id}"
            choice = self._trial.explored(choice, turn.bundle, listener, hidden, seed=seed)
        else:
            choice = narrowed(
                choice, wanted, bundle=turn.bundle, listener=listener, hidden=hidden, details=self._details.value, k=k
            )
        if choice.items.items:
            self._exposures.publish(_exposure(recommendation_id, listener, turn, choice, wanted.context))
        self._metrics.served(choice.rung)
        version = turn.bundle.version if turn.bundle else None
        return ANSWER(
            recommendation_id=recommendation_id, rung=choice.rung, model_version=version, as_of=choice.as_of,
            degraded=listener.degraded or version is None, items=choice.items.shown(self._names.value),
        )  # fmt: skip

    async def _listener(self, user_id: str) -> Listener:
        resolved = await self._identity.resolve([user_id], create=False)
        listener_id = resolved.listeners.get(user_id)
        if listener_id is None or self._choices.has_paused(listener_id):
            return Listener(listener_id=ANONYMOUS, history=NOTHING, degraded=not resolved.complete)
        try:
            history = await self._cache.history(listener_id)
        except UnavailableError:
            self._metrics.cache("histories", "error")
            return Listener(listener_id=listener_id, history=NOTHING, degraded=True)
        self._metrics.cache("histories", "hit" if history.heard else "miss")
        return Listener(listener_id=listener_id, history=history, degraded=False)

    def _choose(self, bundle: Bundle | None, listener: Listener, k: int, hidden: Set[str]) -> Choice | None:
        history = listener.history.heard
        if bundle is not None and history:
            items, was_ready = self._ready.recommend(
                bundle, listener.listener_id, listener.history, k=k, exclude=hidden
            )
            self._metrics.cache("answers", "hit" if was_ready else "miss")
            if items.is_personal:
                return Choice(rung="personal", as_of=bundle.created_at, items=items)
        chart = self._trending.value["1h"]
        if chart.as_of is not None and datetime.now(UTC) - chart.as_of <= _FRESH:
            rows = [row for row in chart.rows if row.item_id not in history and row.item_id not in hidden][:k]
            if rows:
                shown = [
                    Scored(row.item_id, row.score, "trending", "among the most played of the last hour") for row in rows
                ]
                return Choice(rung="trending", as_of=chart.as_of, items=Listed(tuple(shown)))
        if bundle is not None and (popular := bundle.popular(k=k, exclude=history.keys() | hidden)):
            return Choice(rung="popular", as_of=bundle.created_at, items=Listed(tuple(popular)))
        return None


def _exposure(recommendation_id: str, listener: Listener, turn: Turn, choice: Choice, context: str | None) -> Any:
    exposed = choice.items.exposed()
    return EXPOSURE(
        event_id=recommendation_id,
        user_id=listener.listener_id,
        timestamp=datetime.now(UTC),
        model_version=turn.bundle.version if turn.bundle else NO_MODEL,
        rung=choice.rung,
        context=context,
        item_ids=exposed.item_ids,
        sources=exposed.sources,
        reasons=exposed.reasons,
        experiment=turn.experiment,
        arm=turn.arm,
        propensities=None if choice.propensities is None else list(choice.propensities),
    )
