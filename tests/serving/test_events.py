"""`POST /events`: each verdict, on a real broker."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import redis

from serving.cache import Cache
from streaming.events import Event, derive_event_id
from tests.serving.conftest import SEED, Start, listen, of

pytestmark = pytest.mark.anyio


async def test_the_seed_example_is_accepted_as_it_stands(start: Start, broker: str) -> None:
    async with start() as api:
        answer = await api.post(SEED)
        assert answer.status_code == 202, answer.text
        body = answer.json()
        assert {key: body[key] for key in ("accepted", "spooled", "rejected")} == {
            "accepted": 1,
            "spooled": 0,
            "rejected": 0,
        }
        result = body["results"][0]
        assert set(result) == {"index", "verdict", "event_id", "duplicate"}
        [(key, value)] = of(broker, "events_views", {result["event_id"]})
    assert UUID(key)
    assert value["user_id"] == key
    assert value["item_id"] == "track:item1"
    assert result["event_id"] == derive_event_id(key, "view", "item1", datetime(2024, 1, 1, tzinfo=UTC))


async def test_a_clients_user_id_goes_no_further(start: Start, broker: str, database_url: str, redis_url: str) -> None:
    event = listen(user_id="alice@example.org")
    async with start() as api:
        assert (await api.post(event)).json()["accepted"] == 1
        log = api.parts.settings.spool_path.read_bytes()
    [(key, value)] = of(broker, "events_listens", {event["event_id"]})
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select listener_id from identity.listener where user_id = %s", [event["user_id"]])
        assert str(row.fetchone()[0]) == key
    assert "alice" not in json.dumps(value) + key
    assert b"alice" not in log
    with redis.Redis.from_url(redis_url) as client:
        stored = {name: client.get(name) for name in client.scan_iter()}
    assert stored, "listener and event are cached"
    assert "alice" not in repr(stored)


async def test_a_batch_goes_to_the_topic_of_each_type_with_one_identity_per_user(start: Start, broker: str) -> None:
    types = {"view": "events_views", "click": "events_clicks", "rating": "events_ratings", "listen": "events_listens"}
    events = [
        listen(event_type=kind, user_id=f"batch-{number % 3}", rating=4)
        for number, kind in enumerate(kind for kind in types for _ in range(5))
    ]
    async with start() as api:
        answer = await api.post(events)
    assert answer.json()["accepted"] == len(events)
    keys: dict[str, set[str]] = {}
    for kind, topic in types.items():
        wanted = {event["event_id"]: event for event in events if event["event_type"] == kind}
        found = of(broker, topic, set(wanted))
        assert len(found) == len(wanted)
        for key, value in found:
            keys.setdefault(wanted[value["event_id"]]["user_id"], set()).add(key)
    assert len(keys) == 3
    assert all(len(one) == 1 for one in keys.values())


async def test_a_mixed_batch_has_one_verdict_per_event_in_order(start: Start) -> None:
    batch = [listen(), {**listen(), "event_type": "skip"}, listen(), 7, {**listen(), "colour": "red"}]
    async with start() as api:
        answer = await api.post(batch)
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]
    assert [result["verdict"] for result in results] == ["accepted", "rejected", "accepted", "rejected", "rejected"]
    assert results[1]["valid"] == ["view", "click", "rating", "listen"]
    assert results[4]["field"] == "colour"
    assert results[4]["valid"] == list(Event.model_fields)


FUTURE = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event_type": "skip"}, "event_type"),
        ({"event_type": ["view"]}, "event_type"),
        ({"event_type": "rating"}, "rating"),
        ({"rating": 5.1}, "rating"),
        ({"rating": "4"}, "rating"),
        ({"ms_played": -1}, "ms_played"),
        ({"ms_played": 1.5}, "ms_played"),
        ({"timestamp": FUTURE}, "timestamp"),
        ({"timestamp": "1969-12-31T23:59:59Z"}, "timestamp"),
        ({"timestamp": "2024-01-01T00:00:00"}, "timestamp"),
        ({"timestamp": "1700000000"}, "timestamp"),
        ({"timestamp": 1700000000}, "timestamp"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "a\u0000b"}, "user_id"),
        ({"user_id": None}, "user_id"),
        ({"item_id": "podcast:1"}, "item_id"),
        ({"item_id": "artist:"}, "item_id"),
        ({"item_id": " "}, "item_id"),
        ({"item_id": "x" * 197}, "item_id"),
        ({"schema_version": 99}, "schema_version"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_breaks_the_contract_is_rejected_and_named(start: Start, change: dict[str, Any], field: str) -> None:
    async with start() as api:
        answer = await api.post({**listen(), **change})
    assert answer.status_code == 422
    body = answer.json()
    assert (body["accepted"], body["spooled"], body["rejected"]) == (0, 0, 1)
    result = body["results"][0]
    assert result["field"] == field
    assert field in result["error"] or field == "timestamp"
    assert "event_id" not in result


async def test_a_missing_field_is_named(start: Start) -> None:
    async with start() as api:
        for field in ("user_id", "event_type", "item_id", "timestamp"):
            result = (await api.post({k: v for k, v in listen().items() if k != field})).json()["results"][0]
            assert (result["verdict"], result["field"]) == ("rejected", field)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"[", 422, "not JSON"),
        (b"[1,]", 422, "not JSON"),
        (b"[" * 100_000, 422, "nested"),
        (b"[]", 422, "1 to 1000"),
        (b"[" + b",".join([b"1"] * 1001) + b"]", 422, "not 1001"),
        (b'"' + b"x" * (2 * 1024 * 1024) + b'"', 413, "2097152"),
    ],
)
async def test_a_body_that_is_no_batch_is_a_problem(start: Start, body: bytes, status: int, says: str) -> None:
    async with start() as api:
        answer = await api.client.post("/events", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert says in problem["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b"\xff\xfe", b'{"a":"\\ud800"}', b"NaN", b'"text"'])
async def test_a_single_body_that_is_no_event_is_rejected(start: Start, body: bytes) -> None:
    async with start() as api:
        answer = await api.client.post("/events", content=body)
    assert answer.status_code == 422
    assert answer.json()["rejected"] == 1


async def test_an_event_sent_twice_is_accepted_twice_and_marked(start: Start) -> None:
    event = listen()
    async with start() as api:
        first, second = [(await api.post(event)).json()["results"][0] for _ in range(2)]
    assert (first["verdict"], first["duplicate"]) == ("accepted", False)
    assert (second["verdict"], second["duplicate"]) == ("accepted", True)


async def test_marks_of_one_turn_are_one_command_and_each_gets_its_own(redis_url: str) -> None:
    cache, ids = Cache(redis_url, timeout_seconds=2), [uuid4().hex for _ in range(4)]
    mark = cache.marks.mark
    assert await mark(ids[:1]) == [False]
    with redis.Redis.from_url(redis_url) as client:
        before = client.info("commandstats")["cmdstat_eval"]["calls"]
        found = await asyncio.gather(mark(ids[:2]), mark([]), mark(ids[1:]), mark(ids[3:]))
        assert client.info("commandstats")["cmdstat_eval"]["calls"] == before + 1
    assert found == [[True, False], [], [True, False, False], [True]]
    await cache.close()


async def test_times_reach_the_topic_in_utc(start: Start, broker: str) -> None:
    event = listen(timestamp="2025-06-01T12:00:00.25+02:00")
    async with start() as api:
        await api.post(event)
    [(_, value)] = of(broker, "events_listens", {event["event_id"]})
    assert value["timestamp"] == "2025-06-01T10:00:00.250000Z"
