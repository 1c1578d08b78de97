"""What somebody played lately, live plays as server-sent events, and who there is."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import redis

from music_assets.identity import ensure_listeners
from serving.__main__ import server
from serving.app import create_app
from serving.plays import feed as feeds
from streaming import online
from streaming.events import EventType
from streaming.features import merge, microseconds, seen
from tests.serving import marts, worlds
from tests.serving.conftest import Start, eventually, listen
from tests.serving.test_outages import nowhere

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

    from tests.conftest import MakeSettings

pytestmark = pytest.mark.anyio

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def person() -> str:
    return f"person-{uuid4().hex}"


def listener_of(database_url: str, user: str) -> str:
    with psycopg.connect(database_url) as connection:
        return ensure_listeners(connection, [user])[user]


def played(redis_url: str, listener: str, *items: str, at: datetime = NOON) -> None:
    """Let the stream have seen plays, a minute apart, and a view."""
    events = [
        seen(EventType.LISTEN, item, at + timedelta(minutes=index), uuid4().hex) for index, item in enumerate(items)
    ]
    view = seen(EventType.VIEW, "track:viewed", at, uuid4().hex)
    with redis.Redis.from_url(redis_url) as client:
        client.set(online.EPOCH_KEY, "a stream runs")
        held: Any = client.get(online.key(listener))
        client.set(online.key(listener), merge(held, [*events, view], now=microseconds(datetime.now(UTC))))


async def test_recent_plays_are_those_of_both_stores(start: Start, database_url: str, redis_url: str) -> None:
    user = person()
    listener = listener_of(database_url, user)
    played(redis_url, listener, "track:a", "track:b")
    with psycopg.connect(database_url) as connection:
        marts.write(
            connection, "fct_listens",
            marts.listen(NOON, listener, "track:a", None, event_id="e1", source="web"),
            marts.listen(NOON - timedelta(days=9), listener, "track:a", None, event_id="e0"),
            marts.listen(NOON, "another", "track:z", None, event_id="e2"),
        )  # fmt: skip
        connection.commit()
    async with start() as api:
        worlds.names(api.parts.settings, {"artist:1": "One"})
        await eventually(lambda: bool(api.parts.names.value))
        found = (await api.get(f"/users/{user}/recent")).json()
        two = (await api.get(f"/users/{user}/recent", limit=2)).json()
        unknown = await api.get("/users/nobody-at-all/recent")
    [newest, second, oldest] = found["plays"]
    assert [each["item_id"] for each in found["plays"]] == ["track:b", "track:a", "track:a"]
    assert (second["event_id"], second["ms_played"], second["source"]) == ("e1", 60_000, "web")
    assert (oldest["event_id"], oldest["played_at"]) == ("e0", "2025-05-23T12:00:00Z")
    assert (newest["ms_played"], newest["source"], newest["played_at"]) == (None, None, "2025-06-01T12:01:00Z")
    assert (found["user_id"], found["degraded"], len(two["plays"])) == (user, False, 2)
    assert datetime.fromisoformat(found["as_of"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert unknown.status_code == 404


async def test_recent_plays_say_what_lacks(start: Start, database_url: str, redis_url: str) -> None:
    user = person()
    listener = listener_of(database_url, user)
    played(redis_url, listener, "track:a")
    with psycopg.connect(database_url) as connection:
        marts.write(connection, "fct_listens", marts.listen(NOON, listener, "track:old", None, event_id="e"))
        connection.commit()
    async with start(redis_url=f"redis://{nowhere()}/0") as api:
        built = (await api.get(f"/users/{user}/recent")).json()
        with psycopg.connect(database_url) as connection:
            connection.execute("drop table marts.fct_listens")
        neither = await api.get(f"/users/{user}/recent")
    async with start() as api:
        latest = (await api.get(f"/users/{user}/recent")).json()
        with redis.Redis.from_url(redis_url) as client:
            client.delete(online.EPOCH_KEY)
        gone = await api.get(f"/users/{user}/recent")
    assert gone.status_code == 503, "what a stream wrote that is no more is not the latest"
    assert ([each["item_id"] for each in built["plays"]], built["degraded"]) == (["track:old"], True)
    assert datetime.fromisoformat(built["as_of"]) == marts.BUILT
    assert ([each["item_id"] for each in latest["plays"]], latest["degraded"]) == (["track:a"], True)
    assert (neither.status_code, neither.headers["content-type"]) == (503, "application/problem+json")


async def test_users_are_found_by_what_their_names_begin_with(start: Start, database_url: str) -> None:
    names = [f"zz{uuid4().hex[:6]}%_{number}" for number in range(3)]
    for name in names:
        listener_of(database_url, name)
    async with start() as api:
        found = (await api.get("/users", prefix="zz", limit=2)).json()
        one = (await api.get("/users", prefix=names[1])).json()
        none = (await api.get("/users", prefix="%")).json()
        every = (await api.get("/users")).json()
    assert [each["user_id"] for each in found["users"]] == sorted(names)[:2]
    assert one == {"users": [{"user_id": names[1]}]}
    assert none == {"users": []}
    assert len(every["users"]) >= 3


class Served:
    """A real server with its address: only one streams."""

    def __init__(self, app: FastAPI, url: str, client: httpx.AsyncClient) -> None:
        self.parts = app.state.parts
        self.url = url
        self.client = client

    async def post(self, *events: dict[str, Any]) -> None:
        answer = await self.client.post("/events", json=list(events))
        assert answer.status_code == 202, answer.text


@asynccontextmanager
async def serving(make_settings: MakeSettings, **stores: str) -> AsyncIterator[Served]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = create_app(make_settings(**stores))
    running = server(app, host="127.0.0.1", port=port)
    task = asyncio.create_task(running._serve())
    await eventually(lambda: running.started)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        yield Served(app, f"http://127.0.0.1:{port}", client)
    running.should_exit = True
    begin = time.monotonic()
    await task
    assert time.monotonic() - begin < 5, "an open stream held the end up"


@pytest.fixture
async def api(make_settings: MakeSettings, broker: str, database_url: str, redis_url: str) -> AsyncIterator[Served]:
    stores = {"kafka_bootstrap_servers": broker, "database_url": database_url, "redis_url": redis_url}
    async with serving(make_settings, **stores) as found:
        yield found


class Listening:
    """One open stream, and what came through it."""

    def __init__(self) -> None:
        self.plays: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.ended = False

    def items(self) -> list[str]:
        return [play["item_id"] for play in self.plays]

    async def read(self, answer: httpx.Response) -> None:
        async for line in answer.aiter_lines():
            self.lines.append(line)
            if line.startswith("data: "):
                self.plays.append(json.loads(line.removeprefix("data: ")))
        self.ended = True


@asynccontextmanager
async def listening(api: Served, user: str) -> AsyncIterator[Listening]:
    async with api.client.stream("GET", f"/users/{user}/plays") as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        found = Listening()
        task = asyncio.create_task(found.read(answer))
        try:
            yield found
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_play_that_is_accepted_is_told_at_once_and_once(api: Served, database_url: str, redis_url: str) -> None:
    user = person()
    listener = listener_of(database_url, user)
    played(redis_url, listener, "track:before")
    event = listen(user_id=user, item_id="track:now", timestamp=NOON.isoformat())
    async with listening(api, user) as stream:
        await eventually(lambda: all(each.is_known for each in api.parts.feed._watched.values()))
        begin = time.monotonic()
        await api.post(event, listen(user_id="another"), event | {"event_type": "view", "event_id": uuid4().hex})
        await eventually(lambda: bool(stream.plays))
        assert time.monotonic() - begin < 1
        # The same play comes by the stream's way too, and one that did not come through this process.
        played(redis_url, listener, "track:now")
        played(redis_url, listener, "track:elsewhere", at=NOON + timedelta(hours=1))
        await eventually(lambda: len(stream.plays) == 2)
        await asyncio.sleep(1.5)
    assert stream.items() == ["track:now", "track:elsewhere"]
    assert (stream.plays[0]["event_id"], stream.plays[0]["ms_played"]) == (event["event_id"], 1000)
    assert f"id: {event['event_id']}" in stream.lines
    assert "event: play" in stream.lines
    await eventually(lambda: api.parts.feed.size == 0)


async def test_streams_are_bounded_and_end_with_a_pause_and_with_the_process(
    api: Served, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "MOST_OF_ONE", 1)
    user, other = person(), person()
    listener_of(database_url, user)
    listener_of(database_url, other)
    unknown = await api.client.get("/users/nobody-at-all/plays")
    async with listening(api, user) as stream:
        refused = await api.client.get(f"/users/{user}/plays")
        monkeypatch.setattr(feeds, "MOST", 1)
        full = await api.client.get(f"/users/{other}/plays")
        await api.client.post(f"/users/{user}/pause")
        await eventually(lambda: stream.ended)
    assert [unknown.status_code, refused.status_code, full.status_code] == [404, 503, 503]
    assert refused.headers["retry-after"]
    await eventually(lambda: api.parts.feed.size == 0)
    async with listening(api, other) as stream:
        # As the server does when it is to end; that it then ends in time, the fixture looks at.
        api.parts.feed.close()
        await eventually(lambda: stream.ended)
        assert (await api.client.get(f"/users/{other}/plays")).status_code == 503


async def test_a_stream_does_not_count_as_a_slow_answer(api: Served, database_url: str) -> None:
    user = person()
    listener_of(database_url, user)
    before = await _seconds_of_streams(api)
    async with listening(api, user):
        await asyncio.sleep(2.5)
    await eventually(lambda: api.parts.feed.size == 0)
    assert await _seconds_of_streams(api) - before < 2, "its first byte counts, not its end"


async def _seconds_of_streams(api: Served) -> float:
    lines = (await api.client.get("/metrics")).text.splitlines()
    found = (
        each for each in lines
        if each.startswith("http_request_duration_seconds_sum") and "/users/{user_id}/plays" in each
    )  # fmt: skip
    return sum(float(each.rpartition(" ")[2]) for each in found)


async def test_an_open_stream_does_not_hold_the_end_up(
    make_settings: MakeSettings, broker: str, database_url: str, redis_url: str
) -> None:
    user = person()
    listener_of(database_url, user)
    stores = {"kafka_bootstrap_servers": broker, "database_url": database_url, "redis_url": redis_url}
    reading: list[asyncio.Task[httpx.Response]] = []
    async with httpx.AsyncClient(timeout=20) as patient:
        async with serving(make_settings, **stores) as api:
            reading.append(asyncio.create_task(patient.get(f"{api.url}/users/{user}/plays")))
            await eventually(lambda: api.parts.feed.size == 1)
        assert (await reading[0]).status_code == 200
