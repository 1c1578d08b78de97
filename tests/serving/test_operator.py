"""What an operator looks at: dead letters and their way back, topics, streams, models, sources."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
from confluent_kafka import Producer

from music_assets.defs.lake.redrive import redrives_that_wait
from music_assets.recommender import board
from music_assets.redriving import carry_out
from music_assets.resources import PlatformResource
from serving.operator import held
from streaming.jobs import run_once
from tests.serving import worlds
from tests.serving.conftest import Start
from tests.serving.test_outages import nowhere
from tests.streaming.conftest import SILVER

pytestmark = pytest.mark.anyio


def produce(broker: str, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker})
    for value in values:
        producer.produce(topic, key=b"k", value=value, headers=[("traceparent", b"00")])
    assert producer.flush(10) == 0


async def test_dead_letters_come_page_by_page_and_go_back(start: Start, broker: str, database_url: str) -> None:
    def look(cursor: str | None) -> dg.SensorResult:
        class Parts(PlatformResource):
            def connect(self) -> Any:
                return psycopg.connect(database_url)

        found = redrives_that_wait(dg.build_sensor_context(cursor=cursor, resources={"platform": Parts()}))
        assert isinstance(found, dg.SensorResult)
        return found

    produce(broker, "events_clicks", *(b"{" + b"\x1b" * number for number in range(5)), b"{}" + b"x" * 9_000)
    async with start(stream_engine="python") as api:
        settings = api.parts.settings
        assert (await api.get("/operator/deadletters")).status_code == 503
        await asyncio.to_thread(run_once, SILVER, settings, None)
        pages, cursor = [], None
        while True:
            query = {"topic": "events_clicks", "limit": 4} | ({"cursor": cursor} if cursor else {})
            answer = (await api.get("/operator/deadletters", **query)).json()
            pages.append(answer["deadletters"])
            if (cursor := answer["next"]) is None:
                break
        every = [letter for page in pages for letter in page]
        assert sum(each["rows"] for each in answer["counts"]) == len(every) >= 6
        assert len({(each["partition"], each["offset"]) for each in every}) == len(every)
        times = [each["at"] for each in every]
        assert times == sorted(times, reverse=True)
        assert max(len(each["raw"]) for each in every) == 2_000
        assert "{\\x1b" in {each["raw"] for each in every}
        reason = every[0]["reason"]
        some = (await api.get("/operator/deadletters", reason=reason)).json()
        assert {each["reason"] for each in some["deadletters"]} == {reason}
        bad = [
            await api.get("/operator/deadletters", **query)
            for query in ({"topic": "nope"}, {"reason": "nope"}, {"cursor": "nope"}, {"cursor": "WzFd"})
        ]
        assert [(each.status_code, each.json()["field"]) for each in bad] == [
            (422, "topic"), (422, "reason"), (422, "cursor"), (422, "cursor"),
        ]  # fmt: skip

        assert not look(None).run_requests
        asked = await api.client.post("/operator/redrives", json={"topic": "events_clicks"})
        first = look(None)
        assert len(first.run_requests or []) == 1
        assert not look(first.cursor).run_requests
        wrong = await api.client.post("/operator/redrives", json={"topic": "nope"})
        [done] = await asyncio.to_thread(carry_out, settings)
        after = (await api.get(asked.headers["location"])).json()
        again = (await api.get("/operator/deadletters", topic="events_clicks", limit=100)).json()
        assert (await api.get(f"/operator/redrives/{uuid4()}")).status_code == 404
    assert (asked.status_code, asked.json()["state"], wrong.status_code) == (202, "asked", 422)
    assert (after["state"], after["sent"]) == ("done", len(every)), after
    assert after["sentence"] == done.sentence
    assert all(each["redriven"] for each in again["deadletters"])


async def test_topics_and_their_messages(start: Start, broker: str) -> None:
    value = uuid4().hex
    async with start() as api:
        produce(broker, "events_views", *(f"{value}-{number}".encode() for number in range(5)))
        rows = {row["topic"]: row for row in (await api.get("/operator/topics")).json()["topics"]}
        newest = (await api.get("/operator/topics/events_views/messages", limit=5)).json()
        part = newest["messages"][0]["partition"]
        path = "/operator/topics/events_views/messages"
        last = (await api.get(path, partition=part, limit=2)).json()
        before = (await api.get(path, partition=part, limit=2, offset=last["next"])).json()
        bad = [
            await api.get(path, partition=999), await api.get(path, offset=1),
            await api.get("/operator/topics/nope/messages"),
        ]  # fmt: skip
    assert rows["events_views"]["messages"] >= 5
    assert datetime.fromisoformat(rows["events_views"]["oldest"]) <= datetime.fromisoformat(
        rows["events_views"]["newest"]
    )
    assert [each["value"] for each in newest["messages"]] == [f"{value}-{number}" for number in (4, 3, 2, 1, 0)]
    assert (newest["messages"][0]["key"], newest["messages"][0]["headers"]) == ("k", {"traceparent": "00"})
    assert [each["value"] for each in last["messages"] + before["messages"]] == [
        f"{value}-{number}" for number in (4, 3, 2, 1)
    ]
    assert [each.status_code for each in bad] == [422, 422, 404]


async def test_streams_models_and_sources_say_how_they_are(start: Start, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into source.fetches (source, kind, account, origin, outcome, requests, retries, items, started_at,"
            " finished_at) values ('lastfm', 'listens', 'ada', 'live', 'unauthorised', 1, 0, 0, now(), now())"
        )
        connection.commit()
    async with start() as api:
        streams = (await api.get("/operator/streams")).json()
        root = api.parts.settings.model_root
        nothing = (await api.get("/operator/models")).json()
        version = worlds.release(root)
        (root / "work" / board.FOLDER).mkdir(parents=True)
        gain = {"mean": 0.1, "lower": 0.05, "upper": 0.15}
        board.write(root / "work" / board.FOLDER, [("ease", {"ndcg@10": 0.3, "recall@10": 0.2}, gain)])
        await asyncio.sleep(held._FRESH_SECONDS)
        models = (await api.get("/operator/models")).json()
        sources = (await api.get("/operator/sources")).json()
    by_query = {(each["query"], each["topic"]): each for each in streams["queries"]}
    silver = by_query["stream_kafka_to_silver", "events_listens"]
    assert (silver["state"], silver["halted"], type(silver["lag"])) == ("down", False, int)
    assert "music up" in silver["sentence"]
    assert (nothing["champion"], nothing["releases"], nothing["leaderboard"]) == (None, [], [])
    assert (models["champion"], models["releases"][0]["verdict"]) == (version, "serves")
    assert (models["leaderboard"][0]["ndcg"], models["leaderboard"][0]["low"]) == (0.3, 0.05)
    assert [(each["source"], each["state"]) for each in sources["sources"]] == [("lastfm", "silent")]


async def test_an_older_answer_stands_in_and_says_so(
    start: Start, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "_FRESH_SECONDS", 0.0)
    async with start() as api:
        good = (await api.get("/operator/topics")).json()
        away = api.parts.settings.model_copy(update={"kafka_bootstrap_servers": nowhere()})
        transport: Any = api.client._transport
        transport.app.state.parts = replace(api.parts, settings=away)
        old = (await api.get("/operator/topics")).json()
        messages = await api.get("/operator/topics/events_views/messages")
        streams = (await api.get("/operator/streams")).json()
    assert (good["degraded"], old["degraded"], streams["degraded"]) == (False, True, True)
    assert (old["as_of"], old["topics"]) == (good["as_of"], good["topics"])
    assert messages.status_code == 503
