"""The client for programs against the real application."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest
import redis
from starlette.testclient import TestClient

from serving.app import create_app
from serving.client import ApiError, ApiUnavailableError, MusicClient
from serving.client import client as module
from streaming import online
from tests.serving.conftest import listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeSettings


@pytest.fixture
def served(make_settings: MakeSettings, broker: str, database_url: str, redis_url: str) -> Iterator[TestClient]:
    chosen = make_settings(kafka_bootstrap_servers=broker, database_url=database_url, redis_url=redis_url)
    with redis.Redis.from_url(redis_url) as store:
        store.set(online.EPOCH_KEY, "a stream runs")
    with TestClient(create_app(chosen), base_url="http://localhost") as client:
        yield client


def through(served: TestClient, refused: list[int]) -> httpx.BaseTransport:
    """The application, after so many answers of a proxy before it."""

    def answer(request: httpx.Request) -> httpx.Response:
        if refused:
            return httpx.Response(refused.pop(0), headers={"Retry-After": "0"}, json={"detail": "later"})
        found = served.request(request.method, str(request.url), content=request.content, headers=request.headers)
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)

    return httpx.MockTransport(answer)


def test_events_are_sent_in_batches_and_again_when_that_is_safe(
    served: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_EVENTS", 2)
    user = f"program {uuid4().hex}"
    with MusicClient("http://localhost", transport=through(served, [503, 429])) as client:
        answers = list(client.send([*(listen(user_id=user) for _ in range(3)), {"nonsense": 1}, {"nonsense": 2}]))
        recent = client.recent(user)
    assert [(answer.accepted, answer.rejected) for answer in answers] == [(2, 0), (1, 1), (0, 1)]
    assert recent.user_id == user


def test_problems_are_exceptions(served: TestClient) -> None:
    with MusicClient("http://localhost", transport=through(served, []), tries=1) as client:
        with pytest.raises(ApiError, match="window") as wrong:
            client.trending(window="7d")
        with pytest.raises(ApiError) as unknown:
            client.recent("nobody-at-all")
        with pytest.raises(ApiError, match="context"):
            client.recommend("nobody-at-all", context="the moon", exclude_heard=False)
    with MusicClient("http://localhost", transport=through(served, [503, 503]), tries=2) as client:
        with pytest.raises(ApiUnavailableError, match="later"):
            client.trending()
        assert client.trending().items == []
    assert (wrong.value.field, wrong.value.valid, unknown.value.status) == ("window", ("1h", "24h"), 404)
