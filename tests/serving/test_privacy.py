"""A person's own data: seen, hidden, paused, erased for good and kept out."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
import redis

from music_assets import erasures, keys
from music_assets.defs.privacy.erasures import erasures_that_wait
from music_assets.erasures import readmit
from music_assets.forget import carry_out
from music_assets.identity import ensure_listeners
from music_assets.recommender import features
from music_assets.resources import PlatformResource
from music_assets.sources.imports import hand_in
from serving.privacy.choices import Choices
from streaming.errors import ConfigurationError, UnavailableError
from streaming.jobs import run_once
from streaming.lake import Lake
from streaming.tables import silver
from tests.serving import worlds
from tests.serving.conftest import Running, Start, eventually, listen, of
from tests.serving.test_outages import QUICK, nowhere
from tests.serving.test_recommend import known, serves
from tests.streaming.conftest import SILVER
from tests.streaming.scanner import scan

if TYPE_CHECKING:
    from pathlib import Path

    from music_assets.settings import Settings

pytestmark = pytest.mark.anyio


def person() -> str:
    return f"planted-{uuid4().hex}"


def dump(database_url: str) -> str:
    """Every row of every table, as text."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        return "\n".join(
            str(row)
            for schema, table in found
            for row in connection.execute(f'select held::text from "{schema}"."{table}" as held')
        )


async def settled(settings: Settings) -> None:
    await asyncio.to_thread(run_once, SILVER, settings, None)


def stored(settings: Settings, listener_id: str) -> int:
    table = Lake(settings.storage).read(silver("events_listens"), ["user_id"])
    return table.column("user_id").to_pylist().count(listener_id)


async def test_an_erased_person_is_in_no_store_and_stays_out(
    start: Start, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    user = person()
    async with start(stream_engine="python") as api:
        settings = api.parts.settings
        await api.post([listen(user_id=user) for _ in range(5)])
        with psycopg.connect(database_url) as connection:
            listener = ensure_listeners(connection, [user])[user]
            key = keys.create(connection, name="own", scopes=["admin"], user_id=user)
        with redis.Redis.from_url(redis_url) as client:
            client.set(features.key(listener), features.encode({"track:t1": 2.0}))
        await settled(settings)
        assert stored(settings, listener) == 5
        assert listener in dump(database_url)

        begin = datetime.now(UTC)
        asked = await api.client.delete(f"/users/{user}")
        assert (asked.status_code, asked.json()["status"]) == (202, "queued")
        assert user not in dump(database_url), "with the answer nothing leads to the person"
        assert (await api.client.delete(f"/users/{user}")).status_code == 404
        with psycopg.connect(database_url) as connection, pytest.raises(ConfigurationError):
            keys.get(connection, key.split("_")[1])

        [done] = await asyncio.to_thread(carry_out, settings)
        receipt = (await api.get(asked.headers["location"])).json()
        again = (await api.post(listen(user_id=user))).json()

    assert done.rows == receipt["rows"]
    assert receipt["status"] == "done"
    assert receipt["rows"]["silver/events_listens"] == 5
    assert begin <= datetime.fromisoformat(receipt["hidden_at"]) < begin + timedelta(minutes=1)
    stores = {"mapping", "identity", "lake", "claims", "online", "histories", "warehouse", "collectors"}
    assert stores <= receipt["gone_at"].keys()
    assert datetime.fromisoformat(receipt["kafka_gone_at"]) > begin + timedelta(days=30)
    assert stored(settings, listener) == 0
    for needle in (user, listener):
        assert needle not in dump(database_url)
    assert scan(settings.music_home, [user.encode(), listener.encode()]) == {}
    with redis.Redis.from_url(redis_url) as client:
        assert not [name for name in client.scan_iter() if listener.encode() in name]
    assert (again["rejected"], again["results"][0]["field"]) == (1, "user_id")


async def test_an_erased_person_is_not_imported_again_unless_they_want_to(
    start: Start, database_url: str, tmp_path: Path
) -> None:
    user = person()
    (tmp_path / "history.json").write_text("[]", encoding="utf-8")
    async with start() as api:
        await api.post(listen(user_id=user))
        await api.client.delete(f"/users/{user}")
        upload = await api.client.post(f"/imports?kind=spotify&user_id={user}", content=b"[]")
        with pytest.raises(ConfigurationError, match="erased or has paused"):
            hand_in(api.parts.settings, "spotify", tmp_path / "history.json", user=user, zone="UTC")
        with psycopg.connect(database_url) as connection:
            assert ensure_listeners(connection, [user, "somebody-else"]).keys() == {"somebody-else"}
            assert readmit(connection, user)
            assert not readmit(connection, user)
        assert (await api.post(listen(user_id=user))).json()["accepted"] == 1
    assert upload.status_code == 409


async def test_what_the_spool_holds_of_an_erased_person_goes_too(start: Start, tmp_path: Path) -> None:
    user = person()
    async with start(kafka_bootstrap_servers=nowhere(), produce_timeout_seconds=QUICK) as api:
        await api.post([listen(user_id=user), listen(user_id="stays")])
        assert api.parts.spool.count == 2
        assert (await api.client.delete(f"/users/{user}")).status_code == 202
        assert api.parts.spool.count == 1
        folder = api.parts.settings.spool_path.parent
    assert scan(folder, [user.encode()]) == {}


async def test_an_erasure_that_failed_waits_and_says_why(
    start: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise UnavailableError("the vault does not answer")

    user = person()
    async with start(stream_engine="python") as api:
        await api.post(listen(user_id=user))
        path = (await api.client.delete(f"/users/{user}")).headers["location"]
        with pytest.raises(UnavailableError, match="vault"):
            await asyncio.to_thread(carry_out, api.parts.settings, {"vault": away})
        failed = (await api.get(path)).json()
        await asyncio.to_thread(carry_out, api.parts.settings)
        done = (await api.get(path)).json()
    assert (failed["status"], failed["error"]) == ("failed", "the vault does not answer")
    assert (done["status"], done.get("error")) == ("done", None)


async def test_the_sensor_asks_once_for_what_waits(start: Start, database_url: str) -> None:
    class Parts(PlatformResource):
        def connect(self) -> Any:
            return psycopg.connect(database_url)

    def look(cursor: str | None) -> dg.SensorResult:
        found = erasures_that_wait(dg.build_sensor_context(cursor=cursor, resources={"platform": Parts()}))
        assert isinstance(found, dg.SensorResult)
        return found

    with psycopg.connect(database_url) as connection:
        connection.execute("delete from identity.erasures")
    assert not look(None).run_requests
    async with start() as api:
        user = person()
        await api.post(listen(user_id=user))
        await api.client.delete(f"/users/{user}")
    first = look(None)
    assert len(first.run_requests or []) == 1
    assert not look(first.cursor).run_requests
    with psycopg.connect(database_url) as connection:
        [waits] = erasures.waiting(connection)
    assert waits.status == "queued"


async def test_an_export_holds_everything(start: Start, database_url: str, redis_url: str, broker: str) -> None:
    user = person()
    async with start(stream_engine="python") as api:
        settings = api.parts.settings
        event = listen(user_id=user, context="über uns")
        await api.post([event, listen(user_id="another")])
        with psycopg.connect(database_url) as connection:
            listener = ensure_listeners(connection, [user])[user]
            connection.execute("create table marts.dim_test (user_id text, likes text)")
            connection.execute("insert into marts.dim_test values (%s, 'blue'), ('other', 'red')", (listener,))
            keys.create(connection, name="phone", scopes=["read"], user_id=user)
        await api.client.put(f"/users/{user}/hidden/artist:02")
        await settled(settings)
        answer = await api.get(f"/users/{user}/export")
        unknown = await api.get("/users/nobody-at-all/export")
    assert (answer.status_code, answer.headers["content-type"], unknown.status_code) == (200, "application/zip", 404)
    archive = zipfile.ZipFile(io.BytesIO(answer.content))

    def lines(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in archive.read(name).decode().splitlines()]

    [row] = lines("lake/silver/events_listens.jsonl")
    assert (row["event_id"], row["context"], row["user_id"]) == (event["event_id"], "über uns", listener)
    assert [each["user_id"] for each in lines("identity/listener.jsonl")] == [user]
    assert lines("marts/dim_test.jsonl") == [{"user_id": listener, "likes": "blue"}]
    assert [each["item_id"] for each in lines("identity/hidden_items.jsonl")] == ["artist:02"]
    [key] = lines("identity/api_keys.jsonl")
    assert key["name"] == "phone"
    assert "secret_hash" not in key
    assert {"latest", "history"} == json.loads(archive.read("online.json")).keys()
    assert b"another" not in b"".join(archive.read(name) for name in archive.namelist())


async def test_an_export_without_a_store_is_a_503_not_a_part(start: Start) -> None:
    user = person()
    async with start() as api:
        await api.post(listen(user_id=user))
    async with start(redis_url=f"redis://{nowhere()}/0") as api:
        assert (await api.get(f"/users/{user}/export")).status_code == 503


async def test_who_pauses_is_left_alone_until_they_go_on(
    start: Start, database_url: str, redis_url: str, broker: str
) -> None:
    async with start() as api:
        version = worlds.release(api.parts.settings.model_root)
        await serves(api, version)
        listener = await known(api, redis_url, database_url, {"artist:04": 3.0, "artist:06": 1.0})
        assert (await api.client.post("/users/fan/pause")).json() == {"paused": True}
        rejected = (await api.post(listen(user_id="fan"))).json()
        paused = (await api.get("/recommend", user_id="fan")).json()
        with psycopg.connect(database_url) as connection:
            assert ensure_listeners(connection, ["fan"]) == {}
        assert (await api.client.delete("/users/fan/pause")).json() == {"paused": False}
        accepted = (await api.post(listen(user_id="fan"))).json()
        after = (await api.get("/recommend", user_id="fan")).json()
    assert (rejected["rejected"], accepted["accepted"]) == (1, 1)
    assert (paused["rung"], after["rung"]) == ("popular", "personal")
    [(shown_to, _)] = of(broker, "music_recommendations", {paused["recommendation_id"]})
    assert shown_to != listener


async def test_a_hidden_item_is_not_recommended_on_any_rung(start: Start, database_url: str, redis_url: str) -> None:
    async def shown(api: Running, user: str) -> list[str]:
        return [item["item_id"] for item in (await api.get("/recommend", user_id=user, k=50)).json()["items"]]

    async with start() as api:
        version = worlds.release(api.parts.settings.model_root)
        await serves(api, version)
        await known(api, redis_url, database_url, {"artist:04": 3.0, "artist:06": 1.0})
        await api.post(listen(user_id="newcomer"))
        for user in ("fan", "newcomer"):
            assert "artist:02" in await shown(api, user)
            hidden = await api.client.put(f"/users/{user}/hidden/artist:02")
            assert hidden.json() == {"item_id": "artist:02", "hidden": True}
            assert "artist:02" not in await shown(api, user)
        worlds.chart(api.parts.settings, {"artist:02": 9.0, "artist:03": 5.0})
        await eventually(lambda: bool(api.parts.trending.value["1h"].rows))
        assert await shown(api, "newcomer") == ["artist:03"]
        await api.client.delete("/users/newcomer/hidden/artist:02")
        assert await shown(api, "newcomer") == ["artist:02", "artist:03"]
        bad = await api.client.put("/users/fan/hidden/podcast:1")
    assert (bad.status_code, bad.json()["field"]) == (422, "item_id")


async def test_another_process_learns_of_a_choice(start: Start, database_url: str) -> None:
    async with start() as one, start() as two:
        user = person()
        await one.post(listen(user_id=user))
        with psycopg.connect(database_url) as connection:
            listener = ensure_listeners(connection, [user])[user]
        await one.client.put(f"/users/{user}/hidden/artist:02")
        await one.client.post(f"/users/{user}/pause")
        choices: Choices = two.parts.ingest._choices
        await eventually(lambda: "artist:02" in choices.hidden(listener) and choices.has_paused(listener))
        await one.client.delete(f"/users/{user}/hidden/artist:02")
        await eventually(lambda: not choices.hidden(listener))
