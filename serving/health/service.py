"""Asks each part now and then, so that `/health` knows without asking and a returning part is noticed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from serving.dependency import Dependency
from serving.health.schemas import DependencyHealth, HealthAnswer, ModelHealth, ReadyAnswer, SpoolHealth
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from serving.recommend.models import Models
    from serving.spool import Spool

_EVERY_SECONDS: Final = 5.0
_LOOKS: Final = 20
"""Within that time, at whether a request found the part down."""

_BROKER_SECONDS: Final = 2.0


class Broker:
    """The Kafka broker as a dependency."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.dependency = Dependency("kafka", (KafkaException,))
        self._admin = AdminClient(
            {"bootstrap.servers": bootstrap_servers, "client.id": "music-api-health", "log_level": 0}
        )

    async def check(self) -> None:
        """Ask whether the broker answers."""
        async with self.dependency.call(_BROKER_SECONDS + 1, check=True):
            await asyncio.to_thread(self._admin.list_topics, timeout=_BROKER_SECONDS)


class Health:
    """States of the parts behind the API."""

    def __init__(
        self, checks: Mapping[Dependency, Callable[[], Awaitable[None]]], *, others: list[Dependency], models: Models,
        spool: Spool,
    ) -> None:  # fmt: skip
        self._checks = checks
        self.dependencies = [*checks, *others]
        self._models = models
        self._spool = spool

    async def watch(self) -> None:
        """Check every part, for ever; one that is down all the time, because nothing else tries it then."""
        await asyncio.gather(*(self._watch(part, check) for part, check in self._checks.items()))

    async def _watch(self, part: Dependency, check: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._check(check)
            for _ in range(_LOOKS):
                await asyncio.sleep(_EVERY_SECONDS / _LOOKS)
                if part.state == "down":
                    break

    def answer(self) -> HealthAnswer:
        """Return what is known."""
        bundle = self._models.current
        up = all(part.state == "up" for part in self.dependencies)
        whole = up and bundle is not None and self._models.error is None and self._spool.count == 0
        return HealthAnswer(
            status="ok" if whole else "degraded",
            dependencies={
                part.name: DependencyHealth(state=part.state, since=part.since, detail=part.detail)
                for part in self.dependencies
            },
            model=ModelHealth(
                version=bundle.version if bundle else None,
                created_at=bundle.created_at if bundle else None,
                error=self._models.error,
            ),
            spool=SpoolHealth(events=self._spool.count, limit=self._spool.limit),
        )

    def ready(self) -> ReadyAnswer:
        """Return whether every part was looked at once; one that is away does not make the API unready."""
        missing = [f"{part.name} not checked yet" for part in self.dependencies if part.state == "unknown"]
        if not self._models.known:
            missing.append("model pointer not read yet")
        degraded = [part.name for part in self.dependencies if part.state == "down"]
        status = "starting" if missing else "degraded" if degraded else "ready"
        return ReadyAnswer(status=status, missing=missing, degraded=degraded)

    async def _check(self, check: Callable[[], Awaitable[None]]) -> None:
        try:
            await check()
        except UnavailableError:
            # Noted by the dependency itself: a part that is away is an answer, not a fault.
            return
