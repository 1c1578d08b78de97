"""Parts behind the API go away and come back: nothing acknowledged is lost, nothing becomes a 500."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest

from music_assets.stack import servers
from music_assets.stack.process import free_port
from streaming.topics.admin import apply
from tests.fixtures.servers import running
from tests.serving.conftest import SEED, Start, eventually, listen, of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeSettings

pytestmark = pytest.mark.anyio

QUICK = 0.3


def nowhere() -> str:
    return f"127.0.0.1:{free_port()}"


async def test_broker_away_spools_and_its_return_drains_under_the_same_ids(
    start: Start, make_settings: MakeSettings, tmp_path: Path
) -> None:
    stack = make_settings(music_home=tmp_path / "broker")
    events = [listen(user_id=f"u{number}") for number in range(20)]
    async with start(kafka_bootstrap_servers=stack.bootstrap_servers, produce_timeout_seconds=QUICK) as api:
        answer = (await api.post(events)).json()
        assert (answer["accepted"], answer["spooled"]) == (0, 20)
        assert [result["event_id"] for result in answer["results"]] == [event["event_id"] for event in events]
        assert api.parts.spool.count == 20
        with running(servers.kafka(stack), tmp_path):
            await asyncio.to_thread(apply, stack.bootstrap_servers)
            await eventually(lambda: api.parts.spool.count == 0, seconds=60)
            found = of(stack.bootstrap_servers, "events_listens", {event["event_id"] for event in events})
            assert {value["event_id"] for _, value in found} == {event["event_id"] for event in events}
            again = (await api.post(listen())).json()
            assert again["accepted"] == 1


async def test_a_dead_broker_is_waited_for_once_not_by_every_request(start: Start) -> None:
    async with start(kafka_bootstrap_servers=nowhere(), produce_timeout_seconds=1) as api:
        await api.post(listen())
        begin = asyncio.get_running_loop().time()
        for _ in range(5):
            assert (await api.post(listen())).json()["spooled"] == 1
        assert asyncio.get_running_loop().time() - begin < 2.5


async def test_what_is_spooled_survives_the_process(start: Start, broker: str, tmp_path: Path) -> None:
    event = listen()
    home = tmp_path / "kept"
    async with start(kafka_bootstrap_servers=nowhere(), produce_timeout_seconds=QUICK, music_home=home) as api:
        assert (await api.post(event)).json()["spooled"] == 1
    async with start(music_home=home) as api:
        await eventually(lambda: api.parts.spool.count == 0)
    assert len(of(broker, "events_listens", {event["event_id"]})) == 1


async def test_a_full_spool_is_a_503_that_says_when_to_come_back(start: Start) -> None:
    async with start(kafka_bootstrap_servers=nowhere(), produce_timeout_seconds=QUICK, spool_limit=3) as api:
        assert (await api.post([listen(), listen()])).json()["spooled"] == 2
        answer = await api.post([listen(), listen()])
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "full" in answer.json()["detail"]
        assert api.parts.spool.count == 2
        assert (await api.post(listen())).status_code == 202


async def test_postgres_away_keeps_strangers_under_their_own_id_until_it_returns(
    start: Start, broker: str, tmp_path: Path, database_url: str
) -> None:
    home = tmp_path / "kept"
    stranger = {**SEED, "user_id": "stranger-while-away"}
    gone = f"postgresql://music@{nowhere()}/music"
    async with start(database_url=gone, music_home=home) as api:
        answer = await api.post([stranger, listen(user_id="stranger-while-away", event_id="named")])
        assert answer.status_code == 202
        assert [result["verdict"] for result in answer.json()["results"]] == ["spooled", "spooled"]
        assert "event_id" not in answer.json()["results"][0], "it can be derived only from the listener id"
        assert answer.json()["results"][1]["event_id"] == "named"
        rows = sqlite3.connect(api.parts.settings.spool_path).execute("select key, mapped from spooled").fetchall()
        assert rows == [("stranger-while-away", 0)] * 2
    async with start(music_home=home) as api:
        await eventually(lambda: api.parts.spool.count == 0)
        path = api.parts.settings.spool_path
    [(key, value)] = of(broker, "events_listens", {"named"})
    assert UUID(key)
    assert value["user_id"] == key
    with psycopg.connect(database_url) as connection:
        [row] = connection.execute(
            "select listener_id::text from identity.listener where user_id = 'stranger-while-away'"
        ).fetchall()
    assert row[0] == key
    for file in path.parent.iterdir():
        assert b"stranger-while-away" not in file.read_bytes(), "a user id outlives its mapping in the spool"


async def test_postgres_away_lets_known_listeners_go_on(start: Start) -> None:
    async with start() as api:
        assert (await api.post(listen(user_id="regular"))).json()["accepted"] == 1
    async with start(database_url=f"postgresql://music@{nowhere()}/music") as api:
        assert (await api.post(listen(user_id="regular"))).json()["accepted"] == 1


async def test_redis_away_costs_only_the_hint(start: Start) -> None:
    async with start(redis_url=f"redis://{nowhere()}/0") as api:
        [result] = (await api.post(listen())).json()["results"]
    assert result["verdict"] == "accepted"
    assert "duplicate" not in result


async def test_all_away_still_keeps_events_and_stays_ready(start: Start) -> None:
    async with start(
        kafka_bootstrap_servers=nowhere(), redis_url=f"redis://{nowhere()}/0", produce_timeout_seconds=QUICK,
        database_url=f"postgresql://music@{nowhere()}/music",
    ) as api:  # fmt: skip
        assert (await api.post(listen())).json()["spooled"] == 1
        await eventually(lambda: not api.parts.health.ready().missing)
        ready = await api.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert set(ready.json()["degraded"]) == {"kafka", "redis", "postgres", "warehouse"}
        assert (await api.get("/recommend", user_id="x")).status_code == 503
        assert (await api.get("/health")).json()["status"] == "degraded"


async def test_two_processes_give_a_listener_one_identity(start: Start, broker: str) -> None:
    users = [f"racer-{number}" for number in range(50)]
    async with start() as one, start() as two:
        batches = [[listen(user_id=user) for user in order] for order in (users, users[::-1])]
        answers = await asyncio.gather(one.post(batches[0]), two.post(batches[1]))
    assert [answer.json()["accepted"] for answer in answers] == [50, 50]
    ids = {event["event_id"]: event["user_id"] for batch in batches for event in batch}
    keys: dict[str, set[str]] = {}
    for key, value in of(broker, "events_listens", set(ids)):
        keys.setdefault(ids[value["event_id"]], set()).add(key)
    assert len(keys) == 50
    assert all(len(one) == 1 for one in keys.values())
