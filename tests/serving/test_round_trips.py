"""What an answer of both stages asks of the stores: what is known of items lies in the bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import redis

from music_assets.bench.serve_world import two_stage
from music_assets.recommender import bundle
from music_assets.recommender.bundle import Contents
from music_assets.recommender.names import TWO_STAGE
from tests.fixtures.metrics import sample
from tests.serving.conftest import Start, eventually
from tests.serving.test_recommend import known

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

ITEMS = 600
AT_MOST = 2


def release(root: Path) -> None:
    model: Any = two_stage(tuple(f"track:{number}" for number in range(ITEMS)), np.random.default_rng(1))
    contents = Contents(
        model=model, holdout=model.models[0], recipe=TWO_STAGE, settings={}, metrics={"ndcg@10": 0.1}, cutoff=1,
        data_until=2,
    )  # fmt: skip
    bundle.promote(root, bundle.write(root, contents))


async def test_a_cold_answer_of_both_stages_asks_redis_twice_and_postgres_not_at_all(
    start: Start, redis_url: str, database_url: str
) -> None:
    async with start() as before:
        settings = before.parts.settings
        release(settings.model_root)
        await known(before, redis_url, database_url, {f"track:{number}": 1.0 for number in range(50)})
    async with start(music_home=settings.music_home) as api:
        await eventually(lambda: api.parts.models.current is not None)
        with redis.Redis.from_url(redis_url) as client:
            client.config_resetstat()
            answer = await api.get("/recommend", user_id="fan", k=100)
            calls = {name: each["calls"] for name, each in client.info("commandstats").items()}
        metrics = (await api.get("/metrics")).text
    assert (answer.json()["rung"], len(answer.json()["items"])) == ("personal", 100)
    asked = {name: count for name, count in calls.items() if "config" not in name and "client" not in name}
    assert sum(asked.values()) <= AT_MOST, asked
    assert asked == {"cmdstat_mget": 2}
    assert sample(metrics, 'cache_requests_total{cache="listeners_redis",result="hit"}') == 1
