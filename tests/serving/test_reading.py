"""`/similar`, `/trending`, `/ledger`, health, metrics and the documentation."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from serving import page
from serving.app import create_app
from streaming.lake import Lake
from streaming.tables import LEDGER, TRENDING_24H
from streaming.topics import topics
from tests.conftest import MakeSettings
from tests.serving import worlds
from tests.serving.conftest import SEED, Start, eventually, listen

pytestmark = pytest.mark.anyio

SNAPSHOT = Path(__file__).with_name("openapi.json")


async def test_similar_items_are_of_the_same_taste(start: Start) -> None:
    async with start() as api:
        assert (await api.get("/similar/artist:02")).status_code == 503
        worlds.release(api.parts.settings.model_root)
        await eventually(lambda: api.parts.models.current is not None)
        answer = await api.get("/similar/artist:02", k=4)
        assert (await api.get("/similar/artist:nobody")).status_code == 404
        bad = await api.get("/similar/podcast:1")
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert len(items) == 4
    assert {item["item_id"] for item in items} < set(worlds.EVEN) - {"artist:02"}
    assert (bad.status_code, bad.json()["field"]) == (422, "item_id")


async def test_trending_is_the_chart_with_names_and_age(start: Start) -> None:
    async with start() as api:
        before = (await api.get("/trending")).json()
        assert before["items"] == []
        worlds.names(api.parts.settings, {"artist:02": "Two"})
        worlds.chart(api.parts.settings, {"artist:02": 9.0, "track:b": 7.0, "artist:03": 5.0})
        await eventually(lambda: bool(api.parts.trending.value["1h"].rows) and bool(api.parts.names.value))
        every = (await api.get("/trending")).json()
        artists = (await api.get("/trending", window="1h", kind="artist", k=5)).json()
        bad = await api.get("/trending", window="7d")
        worse = await api.get("/trending", kind="podcast")
    assert [item["item_id"] for item in every["items"]] == ["artist:02", "track:b", "artist:03"]
    assert [(item["item_id"], item["rank"], item.get("name")) for item in artists["items"]] == [
        ("artist:02", 1, "Two"),
        ("artist:03", 2, None),
    ]
    assert datetime.fromisoformat(every["as_of"])
    assert 0 <= every["age_seconds"] < 60
    assert (bad.status_code, bad.json()["field"], bad.json()["valid"]) == (422, "window", ["1h", "24h"])
    assert worse.json()["valid"] == ["track", "artist", "album"]


async def test_each_window_has_its_chart(start: Start) -> None:
    async with start() as api:
        worlds.chart(api.parts.settings, {"track:hour": 1.0})
        worlds.chart(api.parts.settings, {"track:day": 2.0, "track:hour": 1.0}, table=TRENDING_24H)
        await eventually(lambda: all(chart.rows for chart in api.parts.trending.value.values()))
        hour = (await api.get("/trending")).json()
        day = (await api.get("/trending", window="24h")).json()
    assert (hour["window"], [item["item_id"] for item in hour["items"]]) == ("1h", ["track:hour"])
    assert (day["window"], [item["item_id"] for item in day["items"]]) == ("24h", ["track:day", "track:hour"])


async def test_a_new_chart_replaces_the_old_one(start: Start) -> None:
    async with start() as api:
        worlds.chart(api.parts.settings, {"track:old": 1.0})
        await eventually(lambda: [row.item_id for row in api.parts.trending.value["1h"].rows] == ["track:old"])
        worlds.chart(api.parts.settings, {"track:new": 1.0})
        await eventually(lambda: [row.item_id for row in api.parts.trending.value["1h"].rows] == ["track:new"])


async def test_the_ledger_lists_every_topic(start: Start) -> None:
    async with start() as api:
        away = await api.get("/ledger")
        assert (away.status_code, away.headers["content-type"]) == (503, "application/problem+json")
        Lake(api.parts.settings.storage).create(LEDGER)
        found = (await api.get("/ledger")).json()["topics"]
    assert set(found) == set(topics())
    assert found["events_views"] == {
        "received": 0, "stored": 0, "duplicate": 0, "dead_lettered": 0, "event_id_conflicts": 0,
    }  # fmt: skip


async def test_ready_once_everything_was_looked_at(start: Start, database_url: str) -> None:
    # Named, so that the start waits for nothing.
    async with start(database_url=database_url) as api:
        first = await api.get("/health/ready")
        assert first.status_code == 503
        assert "kafka not checked yet" in first.json()["missing"]
        assert (await api.get("/health/live")).json() == {"status": "live"}
        await eventually(lambda: not api.parts.health.ready().missing)
        ready = await api.get("/health/ready")
        health = (await api.get("/health")).json()
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert {name: part["state"] for name, part in health["dependencies"].items()} == {
        "kafka": "up", "postgres": "up", "redis": "up", "warehouse": "up", "lake": "up",
    }  # fmt: skip


async def test_metrics_count_by_template_and_verdict(start: Start) -> None:
    async with start() as api:
        await api.post([listen(), 1])
        for number in range(3):
            await api.get(f"/recommendations/user-{number}")
            await api.get(f"/no-such-path-{number}")
        await api.client.request("BREW", "/events")
        text = (await api.get("/metrics")).text
    assert 'http_requests_total{endpoint="/events",method="POST",status="202"} 1.0' in text
    assert 'http_requests_total{endpoint="/recommendations/{user_id}",method="GET",status="503"} 3.0' in text
    assert 'http_requests_total{endpoint="other",method="GET",status="404"} 3.0' in text
    assert 'method="other"' in text
    assert 'http_request_duration_seconds_count{endpoint="/events",method="POST"} 1.0' in text
    assert 'ingest_events_total{topic="events_listens",verdict="accepted"} 1.0' in text
    assert 'ingest_events_total{topic="none",verdict="rejected"} 1.0' in text
    assert "ingest_spool_events 0.0" in text
    assert "user-1" not in text


async def test_unknown_paths_and_methods_are_problems(start: Start) -> None:
    async with start() as api:
        for answer, status in ((await api.get("/nowhere"), 404), (await api.get("/events"), 405)):
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"


async def test_the_docs_need_no_internet(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page, "DIST", tmp_path)
    async with start() as api:
        home = await api.get("/")
        assert (home.status_code, home.headers["location"]) == (307, "/docs")
        text = (await api.get("/docs")).text
        addresses = re.findall(r"""(?:src|href)=["']([^"']+)["']""", text)
        assert len(addresses) == 3
        assert all(address.startswith("/") for address in addresses)
        for address in addresses:
            assert (await api.get(address)).status_code == 200


def schema(make_settings: MakeSettings) -> dict[str, Any]:
    return create_app(make_settings()).openapi()


def test_the_api_is_the_one_that_was_agreed_on(make_settings: MakeSettings) -> None:
    """A change of the API shows here; if it is meant, write the new description to the snapshot."""
    assert schema(make_settings) == json.loads(SNAPSHOT.read_text("utf-8"))


def test_an_event_is_of_exactly_one_kind_as_described(make_settings: MakeSettings) -> None:
    """A program that checks what it sends by the description needs it: of several kinds would be of none."""
    found = schema(make_settings)
    body = found["paths"]["/events"]["post"]["requestBody"]["content"]["application/json"]
    validator = Draft202012Validator({**body["schema"], "components": found["components"]})
    for example in body["examples"].values():
        validator.validate(example["value"])
    kinds = found["components"]["schemas"]["EventIn"]["oneOf"]
    assert len(kinds) == 4
    assert not validator.is_valid({**SEED, "event_type": "skip"})


async def test_bytes_that_are_no_text_get_an_answer_that_is_described(start: Start) -> None:
    async with start() as api:
        paths = (await api.get("/openapi.json")).json()["paths"]
        with_body = [
            (path, described["post"]) for path, described in paths.items() if "requestBody" in described.get("post", {})
        ]
        assert {"/session", "/operator/redrives"} <= {path for path, _ in with_body}
        for path, described in with_body:
            kind = next(iter(described["requestBody"]["content"]))
            answer = await api.client.post(path, content=b"I\xff\xfe", headers={"content-type": kind})
            assert str(answer.status_code) in described["responses"], (path, answer.text)
            assert answer.status_code < 500, (path, answer.text)


def test_everything_in_the_api_is_described(make_settings: MakeSettings) -> None:
    found = schema(make_settings)
    for name, model in found["components"]["schemas"].items():
        assert model.get("description") or "oneOf" in model or "enum" in model, name
        for field, description in model.get("properties", {}).items():
            assert description.get("description") or "$ref" in description, f"{name}.{field} has no description"
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert operation.get("description"), f"{method} {path}"
            assert operation["tags"], path
            for parameter in operation.get("parameters", []):
                assert parameter.get("description"), f"{path} {parameter['name']}"
    text = json.dumps(found)
    for reference in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert reference in found["components"]["schemas"], reference
