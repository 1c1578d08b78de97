"""The ladder, its exposures, and the change of bundles under load."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
import redis

from music_assets.recommender import bundle, features
from music_assets.recommender.manifest import MANIFEST
from serving import delivery
from serving.recommend.service import TOPIC
from streaming.parse import parse
from tests.fixtures.metrics import sample
from tests.serving import worlds
from tests.serving.conftest import Running, Start, eventually, listen, messages

pytestmark = pytest.mark.anyio


async def known(api: Running, redis_url: str, database_url: str, history: dict[str, float]) -> str:
    """Make user `fan` a listener with a history and return the listener id."""
    await api.post(listen(user_id="fan"))
    row: tuple[str] | None = None

    def is_there() -> bool:
        nonlocal row
        with psycopg.connect(database_url) as connection:
            row = connection.execute("select listener_id::text from identity.listener where user_id = 'fan'").fetchone()
        return row is not None

    # An identity store that takes its time has the event spooled first.
    await eventually(is_there)
    assert row is not None
    with redis.Redis.from_url(redis_url) as client:
        client.set(features.key(row[0]), features.encode(history))
    return str(row[0])


async def serves(api: Running, version: str) -> None:
    await eventually(lambda: api.parts.models.current is not None and api.parts.models.current.version == version)


async def test_a_listener_with_a_history_gets_their_own(
    start: Start, redis_url: str, database_url: str, broker: str
) -> None:
    async with start() as api:
        worlds.names(api.parts.settings, {"artist:02": "Two"})
        await eventually(lambda: bool(api.parts.names.value), seconds=10)
        version = worlds.release(api.parts.settings.model_root)
        await serves(api, version)
        listener = await known(api, redis_url, database_url, {"artist:04": 3.0, "artist:06": 1.0})
        answer = await api.get("/recommend", user_id="fan", k=5)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["rung"], body["model_version"], body["degraded"]) == ("personal", version, False)
    items = body["items"]
    assert [item["rank"] for item in items] == [1, 2, 3, 4, 5]
    assert {item["item_id"] for item in items} < set(worlds.EVEN) - {"artist:04", "artist:06"}
    assert {item["source"] for item in items} == {"ease"}
    assert all(item["reason"].startswith("because you played artist:0") for item in items)
    assert {item["item_id"]: item.get("name") for item in items}["artist:02"] == "Two"
    [(key, value)] = [
        found
        for found in messages(broker, "music_recommendations")
        if found[1]["event_id"] == body["recommendation_id"]
    ]
    assert key == value["user_id"] == listener
    assert value["item_ids"] == [item["item_id"] for item in items]
    assert value["reasons"] == [item["reason"] for item in items]
    assert (value["rung"], value["model_version"]) == ("personal", version)


async def test_an_answer_is_ready_until_history_model_or_wishes_change(
    start: Start, redis_url: str, database_url: str
) -> None:
    async with start() as api:
        await serves(api, worlds.release(api.parts.settings.model_root))
        listener = await known(api, redis_url, database_url, {"artist:04": 3.0, "artist:06": 1.0})

        async def asked() -> tuple[list[str], float]:
            answer = (await api.get("/recommend", user_id="fan", k=5)).json()
            hits = sample((await api.get("/metrics")).text, 'cache_requests_total{cache="answers",result="hit"}')
            return [item["item_id"] for item in answer["items"]], hits

        first, none = await asked()
        assert (await asked(), none) == ((first, 1.0), 0.0)
        with redis.Redis.from_url(redis_url) as client:
            client.set(features.key(listener), features.encode({"artist:04": 3.0, first[0]: 1.0}))
        changed, hits = await asked()
        assert first[0] not in changed
        assert hits == 1.0
        assert (await api.client.put(f"/users/fan/hidden/{changed[0]}")).is_success
        hidden, hits = await asked()
        assert changed[0] not in hidden
        assert (await api.client.delete(f"/users/fan/hidden/{changed[0]}")).is_success
        assert await asked() == (changed, hits + 1)
        await serves(api, worlds.release(api.parts.settings.model_root))
        assert (await asked())[1] == hits + 1 == 2.0


async def test_down_the_ladder(start: Start, broker: str) -> None:
    async with start() as api:
        settings = api.parts.settings
        nothing = await api.get("/recommend", user_id="nobody")
        assert nothing.status_code == 503
        assert nothing.headers["content-type"] == "application/problem+json"
        assert int(nothing.headers["retry-after"]) > 0
        worlds.chart(settings, {"track:hot": 9.0, "artist:02": 5.0})
        await eventually(lambda: bool(api.parts.trending.value["1h"].rows))
        hot = (await api.get("/recommendations/nobody", k=1)).json()
        assert (hot["rung"], hot["degraded"], "model_version" in hot) == ("trending", True, False)
        assert [item["item_id"] for item in hot["items"]] == ["track:hot"]
        version = worlds.release(settings.model_root)
        await serves(api, version)
        assert (await api.get("/recommend", user_id="nobody")).json()["rung"] == "trending"
        worlds.chart(settings, {"track:hot": 9.0}, as_of=datetime.now(UTC) - timedelta(hours=2))
        await eventually(lambda: len(api.parts.trending.value["1h"].rows) == 1)
        cold = (await api.get("/recommend", user_id="nobody")).json()
        assert (cold["rung"], cold["degraded"], cold["model_version"]) == ("popular", False, version)
    shown = {value["event_id"]: value for _, value in messages(broker, "music_recommendations")}
    for answer in (hot, cold):
        value = shown[answer["recommendation_id"]]
        assert value["user_id"] == "anonymous"
        row = parse("music_recommendations", json.dumps(value).encode(), now=datetime.now(UTC))
        assert isinstance(row, dict), row


async def test_reading_makes_no_identity(start: Start, database_url: str) -> None:
    async with start() as api:
        await serves(api, worlds.release(api.parts.settings.model_root))
        assert (await api.get("/recommend", user_id="only-looking")).status_code == 200
    with psycopg.connect(database_url) as connection:
        found = connection.execute("select count(*) from identity.listener where user_id = 'only-looking'").fetchone()
    assert found == (0,)


async def test_redis_away_is_popular_and_says_degraded(start: Start, redis_url: str, database_url: str) -> None:
    async with start() as api:
        await known(api, redis_url, database_url, {"artist:04": 3.0})
    async with start(redis_url="redis://127.0.0.1:1/0") as api:
        await serves(api, worlds.release(api.parts.settings.model_root))
        body = (await api.get("/recommend", user_id="fan")).json()
    assert (body["rung"], body["degraded"]) == ("popular", True)


async def test_a_history_that_cannot_be_read_is_no_500(start: Start, redis_url: str, database_url: str) -> None:
    async with start() as api:
        await serves(api, worlds.release(api.parts.settings.model_root))
        listener = await known(api, redis_url, database_url, {})
        with redis.Redis.from_url(redis_url) as client:
            client.set(features.key(listener), b"\xc1 no msgpack")
        body = (await api.get("/recommend", user_id="fan")).json()
    assert (body["rung"], body["degraded"]) == ("popular", True)


async def test_broker_away_spools_the_exposure_and_answers_soon(start: Start) -> None:
    async with start(kafka_bootstrap_servers="127.0.0.1:1", produce_timeout_seconds=0.5) as api:
        await serves(api, worlds.release(api.parts.settings.model_root))
        begin = asyncio.get_running_loop().time()
        answer = await api.get("/recommend", user_id="x")
        assert answer.status_code == 200
        assert asyncio.get_running_loop().time() - begin < 0.3
        await eventually(lambda: api.parts.spool.count == 1)
        [waiting] = await api.parts.spool.page(after=0, size=10)
        assert waiting.event_id == answer.json()["recommendation_id"]


async def test_a_stop_spools_what_the_broker_has_not_acknowledged(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_CLOSE_SECONDS", 0.2)
    async with start(kafka_bootstrap_servers="127.0.0.1:1", produce_timeout_seconds=60) as api:
        await serves(api, worlds.release(api.parts.settings.model_root))
        shown = (await api.get("/recommend", user_id="x")).json()["recommendation_id"]
        path = api.parts.settings.spool_path
    with sqlite3.connect(path) as left:
        assert (shown,) in left.execute("select event_id from spooled").fetchall()


@pytest.mark.parametrize(
    "path", ["/recommend?user_id=a&k=0", "/recommend?user_id=a&k=101", "/recommend?user_id=a&k=x", "/recommend?k=5",
             "/recommend?user_id=a%00b", "/recommendations/a?k=-1"],
)  # fmt: skip
async def test_bad_parameters_are_named(start: Start, path: str) -> None:
    async with start() as api:
        answer = await api.get(path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == ("k" if "k=" in path and "=5" not in path else "user_id")


async def test_bundles_change_over_without_a_failed_request(start: Start) -> None:
    async with start() as api:
        root = api.parts.settings.model_root
        first = worlds.release(root)
        await serves(api, first)
        second: str | None = None
        seen: list[str] = []
        end = asyncio.get_running_loop().time() + 15
        while asyncio.get_running_loop().time() < end and (second is None or second not in seen):
            answers = await asyncio.gather(*(api.get("/recommend", user_id=f"u{number}") for number in range(5)))
            assert {answer.status_code for answer in answers} == {200}
            seen += [answer.json()["model_version"] for answer in answers]
            if second is None:
                second = await asyncio.to_thread(worlds.release, root)
        assert set(seen) == {first, second}
        assert (await api.get("/metrics")).text.count("model_info{") == 1


async def test_a_damaged_bundle_does_not_replace_a_good_one(start: Start) -> None:
    async with start() as api:
        root = api.parts.settings.model_root
        good = worlds.release(root)
        await serves(api, good)
        bad = await asyncio.to_thread(worlds.release, root)
        (root / "champion").write_text(good)
        (root / bad / MANIFEST).write_text("{}")
        (root / "champion").write_text(bad)
        await eventually(lambda: api.parts.models.error is not None)
        assert (await api.get("/recommend", user_id="a")).json()["model_version"] == good
        health = (await api.get("/health")).json()
        assert (health["status"], health["model"]["version"]) == ("degraded", good)
        assert bad in health["model"]["error"]
    assert bundle.champion(root) == bad


async def test_recommendation_ids_are_never_the_same(start: Start) -> None:
    async with start() as api:
        await serves(api, worlds.release(api.parts.settings.model_root))
        ids = [(await api.get("/recommend", user_id="a")).json()["recommendation_id"] for _ in range(3)]
    assert len({UUID(one) for one in ids}) == 3


async def test_filters_leave_out_what_is_not_wanted(start: Start, redis_url: str, database_url: str) -> None:
    async with start() as api:
        worlds.artists(api.parts.settings, {"artist:02": "Rock", "artist:08": "rock", "artist:10": "Jazz"})
        await eventually(lambda: bool(api.parts.details.value), seconds=10)
        await serves(api, worlds.release(api.parts.settings.model_root))
        await known(api, redis_url, database_url, {"artist:04": 3.0, "artist:06": 1.0})
        rock = (await api.get("/recommend", user_id="fan", genre="ROCK", k=1)).json()
        every = (await api.get("/recommend", user_id="fan", genre="rock")).json()
        none = (await api.get("/recommend", user_id="fan", genre="polka")).json()
        old = (await api.get("/recommend", user_id="fan", year_to=1999)).json()
        wrong = await api.get("/recommend", user_id="fan", year_from=2000, year_to=1999)
        tracks = (await api.get("/recommend", user_id="fan", kind="track")).json()
    assert rock["rung"] == "personal"
    assert [item["rank"] for item in rock["items"]] == [1]
    assert {item["item_id"] for item in every["items"]} == {"artist:02", "artist:08"}
    assert none["items"] == old["items"] == tracks["items"] == []
    assert (wrong.status_code, wrong.json()["field"]) == (422, "year_to")


async def test_a_context_asks_for_what_is_heard_there(
    start: Start, broker: str, redis_url: str, database_url: str
) -> None:
    radio = ["artist:02", "artist:01", "artist:04", "artist:03", "artist:08"]
    async with start() as api:
        root = api.parts.settings.model_root
        await serves(api, worlds.release(root))
        early = await api.get("/recommend", user_id="fan", context="radio")
        await serves(api, worlds.release(root, contexts={"radio": radio, "home": ["artist:05"]}))
        await known(api, redis_url, database_url, {"artist:04": 3.0, "artist:06": 1.0})
        await api.client.put("/users/fan/hidden/artist:03")
        fan = (await api.get("/recommend", user_id="fan", context="radio")).json()
        few = (await api.get("/recommend", user_id="fan", context="radio", k=1)).json()
        odd = (await api.get("/recommend", user_id="fan", context="home")).json()
        unknown = (await api.get("/recommend", user_id="nobody", context="radio")).json()
        wrong = await api.get("/recommend", user_id="fan", context="gym")
    assert early.status_code == 422
    assert fan["rung"] == "personal"
    assert {item["item_id"] for item in fan["items"][:2]} == {"artist:02", "artist:08"}
    assert [(item["item_id"], item["source"]) for item in fan["items"][2:]] == [("artist:01", "context")]
    assert len(few["items"]) == 1
    assert (odd["rung"], [item["item_id"] for item in odd["items"]]) == ("popular", ["artist:05"])
    assert unknown["rung"] == "popular"
    assert [item["item_id"] for item in unknown["items"]] == radio
    assert (wrong.status_code, wrong.json()["field"]) == (422, "context")
    assert "home" in wrong.json()["detail"]
    assert "radio" in wrong.json()["detail"]
    contexts = {event["event_id"]: event.get("context") for _, event in messages(broker, TOPIC)}
    assert [contexts[answer["recommendation_id"]] for answer in (fan, few, odd)] == ["radio", "radio", "home"]


async def test_what_is_known_takes_turns_with_what_is_new(start: Start, redis_url: str, database_url: str) -> None:
    async with start() as api:
        await serves(api, worlds.release(api.parts.settings.model_root, contexts={"radio": ["artist:02", "artist:04"]}))
        await known(api, redis_url, database_url, {"artist:04": 3.0, "artist:06": 1.0, "artist:08": 2.0})
        found = (await api.get("/recommend", user_id="fan", exclude_heard="false", k=7)).json()["items"]
        here = (await api.get("/recommend", user_id="fan", exclude_heard="false", context="radio")).json()["items"]
    assert [item["item_id"] for item in found[1::2]] == ["artist:04", "artist:08", "artist:06"]
    assert [item["source"] for item in found] == ["ease", "heard"] * 3 + ["ease"]
    assert [item["item_id"] for item in here] == ["artist:02", "artist:04"]


async def test_a_playlist_has_tracks_only_and_no_name_breaks_it(start: Start) -> None:
    async with start() as api:
        worlds.chart(api.parts.settings, {"track:a": 9.0, "artist:02": 7.0, "track:b": 5.0})
        await eventually(lambda: bool(api.parts.trending.value["1h"].rows))
        jspf = await api.get("/recommendations/somebody/playlist")
        m3u = await api.get("/recommendations/somebody/playlist", format="m3u", k=1)
    playlist = jspf.json()["playlist"]
    assert [track["identifier"] for track in playlist["track"]] == [["urn:music:track:a"], ["urn:music:track:b"]]
    assert playlist["track"][0]["annotation"] == "among the most played of the last hour"
    assert m3u.headers["content-type"].startswith("audio/x-mpegurl")
    assert m3u.text.splitlines() == ["#EXTM3U", "#PLAYLIST:Recommended", "#EXTINF:-1,track:a", "urn:music:track:a"]
