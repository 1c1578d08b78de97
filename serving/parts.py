"""What the handlers work with: opened once when the application starts, closed when it ends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from fastapi import Depends, Request

from serving import garbage
from serving.access.callers import KeyRing
from serving.access.limits import Limiter
from serving.access.sessions import Sessions
from serving.cache import Cache
from serving.catalog import Details, Names, details_view, names_view
from serving.charts.store import Charts
from serving.database import Database
from serving.delivery import Delivery
from serving.events.replies import Replies
from serving.events.service import Ingest, Outbox
from serving.health.service import Broker, Health
from serving.identity.service import Identity
from serving.identity.store import ListenerStore
from serving.imports.service import Imports
from serving.metrics import Metrics
from serving.operator.deadletters import Redrives
from serving.operator.held import Held
from serving.plays.feed import Feed
from serving.plays.service import Plays
from serving.privacy.choices import Choices
from serving.privacy.service import Privacy
from serving.recommend.models import Models
from serving.recommend.ready import Ready
from serving.recommend.service import Exposures, Recommender
from serving.recommend.trial import Trial
from serving.search.index import SearchView, search_view
from serving.spool import Spool
from serving.stats.store import Stats
from serving.trending.store import TrendingView, trending_view
from streaming.lake import Lake
from streaming.producer import EventProducer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from serving.settings import Settings

_TRENDING_SECONDS: Final = 2.0
_NAMES_SECONDS: Final = 5.0
_CANCEL_SECONDS: Final = 0.5


class Operator(NamedTuple):
    """What the operator's handlers work with."""

    held: Held
    redrives: Redrives


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything a handler may ask for."""

    settings: Settings
    metrics: Metrics
    lake: Lake
    spool: Spool
    models: Models
    trending: TrendingView
    names: Names
    details: Details
    outbox: Outbox
    ingest: Ingest
    replies: Replies
    imports: Imports
    recommender: Recommender
    health: Health
    keys: KeyRing
    sessions: Sessions
    limiter: Limiter
    privacy: Privacy
    warehouse: Database
    charts: Charts
    plays: Plays
    operator: Operator
    feed: Feed
    stats: Stats
    search: SearchView


@asynccontextmanager
async def open_parts(settings: Settings, metrics: Metrics) -> AsyncIterator[Parts]:
    """Open the stores, run the background tasks, and close all in the reverse order.

    A store that is away does not keep the API from starting: events are spooled, answers are less personal.
    """
    spool = Spool(settings.spool_path, limit=settings.spool_limit)
    await spool.open()
    cache = Cache(settings.redis, timeout_seconds=settings.redis_timeout_seconds)
    database = Database(settings.database)
    await database.open()
    warehouse = Database(settings.database, name="warehouse")
    await warehouse.open()
    keys, choices, limiter = KeyRing(database), Choices(database), Limiter(cache)
    sessions, feed = Sessions(database, limiter, settings), Feed(cache)
    broker = Broker(settings.bootstrap_servers)
    producer = EventProducer(
        settings.bootstrap_servers,
        client_id="music-api",
        delivery_timeout_ms=int(settings.produce_timeout_seconds * 1000),
        own_thread=False,
    )
    delivery = Delivery(producer, broker.dependency, timeout_seconds=settings.produce_timeout_seconds)
    identity = Identity(ListenerStore(database), cache, metrics)
    outbox = Outbox(delivery, spool, identity=identity, cache=cache)
    exposures = Exposures(outbox, metrics)
    lake = Lake(settings.storage)
    trending, names, models = trending_view(lake), names_view(lake), Models(settings.model_root, metrics)
    details, search = details_view(lake), search_view(lake)
    checks = {part.dependency: part.check for part in (cache, database, warehouse, broker)}
    health = Health(checks, others=[trending.dependency], models=models, spool=spool)
    ready = Ready()
    trial = Trial(
        models, metrics, ready, experiment=settings.trial, share=settings.exploration_share,
        newcomers=settings.newcomer_share,
    )  # fmt: skip
    recommender = Recommender(
        trial, identity=identity, choices=choices, cache=cache, trending=trending, names=names,
        details=details, exposures=exposures, ready=ready, metrics=metrics,
    )  # fmt: skip
    ingest = Ingest(outbox, identity=identity, choices=choices, cache=cache, metrics=metrics, feed=feed)
    privacy = Privacy(
        database, identity=identity, choices=choices, keys=keys, sessions=sessions, feed=feed, spool=spool, ready=ready
    )
    async with _running(
        health.watch(), models.watch(), outbox.drain(), trending.watch(_TRENDING_SECONDS), names.watch(_NAMES_SECONDS),
        details.watch(_NAMES_SECONDS), search.watch(_NAMES_SECONDS), keys.used.watch(), choices.watch(),
        sessions.used.watch(), feed.watch(),
    ):  # fmt: skip
        garbage.set_aside()
        yield Parts(
            settings=settings, metrics=metrics, lake=lake, spool=spool, models=models, trending=trending, names=names,
            details=details, outbox=outbox, replies=Replies(cache), ingest=ingest, imports=Imports(settings, identity),
            recommender=recommender, health=health, keys=keys, sessions=sessions, limiter=limiter, privacy=privacy,
            warehouse=warehouse, charts=Charts(warehouse), stats=Stats(warehouse, privacy), search=search, feed=feed,
            operator=Operator(Held(), Redrives(database)),
            plays=Plays(warehouse, privacy, cache, names=names, details=details),
        )  # fmt: skip
    await delivery.close()
    await outbox.settle()
    await spool.close()
    await keys.used.flush()
    await sessions.used.flush()
    await database.close()
    await warehouse.close()
    await cache.close()


@asynccontextmanager
async def _running(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        # Again and again: a client that is cancelled just as its call ends may take the cancellation for its own.
        while waiting := [task for task in tasks if not task.done()]:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting, timeout=_CANCEL_SECONDS)
        for task in tasks:
            with suppress(asyncio.CancelledError):
                task.result()


async def parts_of(request: Request) -> Parts:
    """Return the parts of the application that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


Api = Annotated[Parts, Depends(parts_of)]
