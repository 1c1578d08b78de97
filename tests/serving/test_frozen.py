"""Parts behind the API stand still under load, which no connection tells: SIGSTOP, for seconds, then they go on."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import psutil
import psycopg
import pytest
import redis

from music_assets.bench.http_load import Answers, paced, request
from music_assets.identity import ensure_listeners
from music_assets.migrations import upgrade
from music_assets.recommender import features
from music_assets.settings import child_environment
from music_assets.stack import applications, servers
from serving.settings import Settings
from streaming.topics.admin import apply
from tests.fixtures.servers import running
from tests.serving import marts, worlds
from tests.serving.conftest import eventually, listen, of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeSettings

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

READS = {
    "recommend": [f"/recommend?user_id=u{number}&k=5" for number in range(20)],
    "similar": ["/similar/artist:04"],
    "trending": ["/trending?window=1h"],
    "charts": ["/charts"],
}
RATE = 15.0
"""Requests a second of each kind; the machine is shared, and what is measured is the waiting."""

FROZEN_SECONDS = 12.0
P99_SECONDS = 0.1
"""What standing still may add to what the machine takes anyway."""


@dataclass
class Stack:
    """The API and the processes of the parts behind it."""

    settings: Settings
    parts: dict[str, psutil.Process] = field(default_factory=dict)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Let a part stand still with all its processes."""
        root = self.parts[name]
        family = [root, *root.children(recursive=True)]
        for each in family:
            each.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for each in family:
                each.send_signal(signal.SIGCONT)


@pytest.fixture
def stack(make_settings: MakeSettings, tmp_path: Any) -> Iterator[Stack]:
    settings = make_settings(
        rate_limit_per_ip=100_000, redis_timeout_seconds=Settings.model_fields["redis_timeout_seconds"].default
    )
    found = Stack(settings)
    with ExitStack() as exits:
        for part in (servers.kafka(settings), servers.postgres(settings), servers.redis_server(settings)):
            process = exits.enter_context(running(part, tmp_path))
            found.parts[part.name] = psutil.Process(process.pid)
        apply(settings.bootstrap_servers)
        upgrade(settings.database)
        _fill(settings)
        api = applications.api(settings)
        exits.enter_context(running(api, tmp_path, environment=child_environment(settings)))
        yield found


def _fill(settings: Settings) -> None:
    worlds.release(settings.model_root)
    worlds.chart(settings, {"artist:02": 3.0, "artist:04": 2.0})
    with psycopg.connect(settings.database) as connection, redis.Redis.from_url(settings.redis) as online:
        marts.plant(connection)
        known = ensure_listeners(connection, [f"u{number}" for number in range(20)])
        connection.commit()
        for number, listener_id in enumerate(known.values()):
            heard = {f"artist:{item:02d}": 1.0 for item in np.arange(number % 2, 20, 2)[:4]}
            online.set(features.key(listener_id), features.encode(heard))


class Senders:
    """Reads of every kind and listens, at a steady rate each, for a while."""

    def __init__(self, settings: Settings) -> None:
        self._port = settings.api_port
        self.sent: list[str] = []

    async def load(self, seconds: float) -> dict[str, Answers]:
        events = [listen(user_id=f"u{number % 20}") for number in range(int(RATE * seconds))]
        self.sent += [event["event_id"] for event in events]
        posts = [request("/events", json.dumps(event).encode()) for event in events]
        kinds = {**{kind: [request(path) for path in paths] for kind, paths in READS.items()}, "events": posts}
        found = await asyncio.gather(
            *(paced(self._port, each, rate=RATE, seconds=seconds, connections=16) for each in kinds.values())
        )
        return dict(zip(kinds, found, strict=True))


@pytest.mark.parametrize("part", ["redis", "postgres", "kafka"])
async def test_a_part_that_stands_still_is_waited_for_by_nobody(stack: Stack, part: str) -> None:
    senders, url = Senders(stack.settings), f"http://127.0.0.1:{stack.settings.api_port}"
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        await eventually(lambda: _whole(client), seconds=60)
        calm = await senders.load(6)
        with stack.frozen(part):
            answers = await senders.load(FROZEN_SECONDS)
            said = (await client.get("/health/ready")).json()
            personal = (await client.get("/recommend", params={"user_id": "u3", "k": 5})).json()
            stats = await client.get("/users/u3/stats")
        back = time.monotonic()
        await eventually(lambda: _whole(client), seconds=60)
        recovered = time.monotonic() - back
        chart = (await client.get("/charts")).json()
    assert part in said["degraded"]
    assert personal["degraded"] is (part == "redis"), "listeners known before need no PostgreSQL"
    assert stats.status_code == (503 if part == "postgres" else 200)
    assert stats.headers["content-type"].startswith("application/" + ("problem+json" if part == "postgres" else "json"))
    statuses = {kind: dict(found.statuses) for kind, found in answers.items()}
    assert statuses == {**{kind: {200: int(RATE * FROZEN_SECONDS)} for kind in READS},
                        "events": {202: int(RATE * FROZEN_SECONDS)}}  # fmt: skip
    p99 = {kind: [float(np.quantile(found[kind].seconds, 0.99)) for found in (calm, answers)] for kind in READS}
    assert all(frozen <= before + P99_SECONDS for before, frozen in p99.values()), p99
    assert recovered < 15
    assert not chart["degraded"]
    delivered = {
        value["event_id"] for _, value in of(stack.settings.bootstrap_servers, "events_listens", {*senders.sent})
    }
    assert delivered == {*senders.sent}, "an acknowledged event is lost"


async def _whole(client: httpx.AsyncClient) -> bool:
    try:
        ready = (await client.get("/health/ready")).json()
        model = (await client.get("/health")).json()
    except httpx.HTTPError:
        return False
    return ready["status"] == "ready" and not ready["degraded"] and model["spool"]["events"] == 0
