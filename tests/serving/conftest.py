"""The API in process, on real Kafka, PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition

from serving.app import create_app
from serving.parts import Parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from serving.settings import Settings
    from tests.conftest import MakeSettings

SEED = {"user_id": "user1", "event_type": "view", "item_id": "item1", "timestamp": "2024-01-01T00:00:00Z"}


def listen(**overrides: Any) -> dict[str, Any]:
    """A valid listen with an id of its own."""
    event = {
        "event_id": uuid4().hex, "user_id": "listener-a", "event_type": "listen", "item_id": "track:t1",
        "timestamp": "2025-06-01T10:00:00Z", "ms_played": 1000,
    }  # fmt: skip
    return event | overrides


class Running:
    """A running API: its client and its parts."""

    def __init__(self, client: httpx.AsyncClient, parts: Parts) -> None:
        self.client = client
        self.parts = parts

    async def post(self, events: Any) -> httpx.Response:
        return await self.client.post("/events", json=events)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.client.get(path, params=query or None)


class Start(Protocol):
    """Starts an API with settings that differ from the good ones."""

    def __call__(self, **overrides: Any) -> AbstractAsyncContextManager[Running]: ...


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Running(client, app.state.parts)


@pytest.fixture
def start(make_settings: MakeSettings, broker: str, database_url: str, redis_url: str) -> Start:
    @asynccontextmanager
    async def begin(**overrides: Any) -> AsyncIterator[Running]:
        good = {"kafka_bootstrap_servers": broker, "database_url": database_url, "redis_url": redis_url}
        async with running(make_settings(**(good | overrides))) as api:
            if "database_url" not in overrides:
                # Until it is, a first event is spooled: right, but not what a test of something else looks for.
                await eventually(
                    lambda: any(
                        part.name == "postgres" and part.state == "up" for part in api.parts.health.dependencies
                    )
                )
            yield api

    return begin


async def eventually(condition: Callable[[], Awaitable[bool] | bool], *, seconds: float = 15) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come true in time")


def messages(broker: str, topic: str) -> list[tuple[str, dict[str, Any]]]:
    """Key and value of every message on a topic, but for what other tests put there that is no JSON object."""
    consumer = Consumer(
        {"bootstrap.servers": broker, "group.id": uuid4().hex, "enable.auto.commit": False, "log_level": 0}
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        left: dict[int, int] = {}
        for number in partitions:
            first, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            left[number] = end - first
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        found: list[tuple[str, dict[str, Any]]] = []
        for _ in range(sum(left.values())):
            message = consumer.poll(10)
            assert message is not None, "a message that the broker has did not come"
            value = _object(message.value())
            if value is not None:
                found.append(((message.key() or b"").decode(errors="replace"), value))
        return found
    finally:
        consumer.close()


def _object(value: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(value or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def of(broker: str, topic: str, event_ids: set[str]) -> list[tuple[str, dict[str, Any]]]:
    """The messages of a topic with these event ids."""
    return [found for found in messages(broker, topic) if found[1].get("event_id") in event_ids]
