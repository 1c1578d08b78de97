"""What a listener does changes what they are recommended next: API, Kafka, the features' job, Redis, API."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import redis

from serving.histories import taste
from streaming import online
from streaming.events import EventType
from streaming.features import KINDS, RecentItem
from tests.serving import worlds
from tests.serving.conftest import Running, Start, eventually, listen
from tests.streaming.conftest import recreate_topics
from tests.streaming.listeners import Listeners

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

LISTENERS = 40
SECONDS = 1.0


async def test_an_event_changes_the_next_recommendations_within_a_second(
    start: Start, broker: str, redis_url: str, tmp_path: Path
) -> None:
    recreate_topics(broker)
    async with start() as api:
        world = Listeners(api.parts.settings, tmp_path)
        with world.service():
            version = worlds.release(api.parts.settings.model_root)
            await eventually(lambda: api.parts.models.current is not None)
            await eventually(lambda: bool(world.redis.get(online.EPOCH_KEY)))
            taken = [await _until_personal(api, f"new-{number}") for number in range(LISTENERS)]
        answer = (await api.get("/recommend", user_id="new-0", k=20)).json()
    assert answer["model_version"] == version
    own = {item["item_id"] for item in answer["items"] if item["source"] == "ease"}
    assert own
    assert own <= set(worlds.EVEN) - {"artist:04"}
    assert float(np.quantile(taken, 0.95)) < SECONDS, sorted(taken)[-5:]


async def _until_personal(api: Running, user_id: str) -> float:
    """Let somebody new hear an artist; return the seconds until they are answered for it."""
    assert (await api.get("/recommend", user_id=user_id)).json()["rung"] == "popular"
    event = listen(user_id=user_id, item_id="artist:04", timestamp=datetime.now(UTC).isoformat())
    begin = time.perf_counter()
    assert (await api.post(event)).json()["accepted"] == 1
    while (await api.get("/recommend", user_id=user_id)).json()["rung"] != "personal":
        assert time.perf_counter() - begin < 10 * SECONDS
        await asyncio.sleep(0.01)
    return time.perf_counter() - begin


async def test_what_no_stream_stands_behind_does_not_count(start: Start, redis_url: str, tmp_path: Path) -> None:
    async with start() as api:
        world = Listeners(api.parts.settings, tmp_path)
        worlds.release(api.parts.settings.model_root)
        await eventually(lambda: api.parts.models.current is not None)
        await api.post(listen(user_id="fan", item_id="artist:04"))
        await eventually(lambda: world.catch_up() >= 0 and bool(world.redis.get(online.EPOCH_KEY)))
        assert (await api.get("/recommend", user_id="fan")).json()["rung"] == "personal"
        with redis.Redis.from_url(redis_url) as client:
            client.delete(online.EPOCH_KEY)

        async def is_popular() -> bool:
            return bool((await api.get("/recommend", user_id="fan")).json()["rung"] == "popular")

        await eventually(is_popular, seconds=1)


def test_a_taste_is_what_was_heard_and_of_the_silent_what_they_looked_at() -> None:
    heard, looked = KINDS.index(EventType.LISTEN), KINDS.index(EventType.VIEW)
    recent = [RecentItem(3, heard, "track:new"), RecentItem(2, heard, "track:old"), RecentItem(1, looked, "track:seen")]
    assert taste({"track:old": 7.0}, recent) == {"track:old": 7.0, "track:new": 1.0}
    assert taste({}, recent) == {"track:old": 1.0, "track:new": 1.0}
    assert taste({}, recent[2:]) == {"track:seen": 1.0}
    assert taste({"track:old": 7.0}, recent[2:]) == {"track:old": 7.0}
    assert taste({}, []) == {}
