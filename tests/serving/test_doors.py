"""Other ways in: lines, named requests, and scrobblers for ListenBrainz."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from music_assets.keys import Scope
from music_assets.sources.plays import Play
from tests.serving.conftest import SEED, Start, listen, messages, of
from tests.serving.test_access import Holder, bearer, make_key

pytestmark = pytest.mark.anyio


def submission(*tracks: tuple[str, str], kind: str = "import", at: int | None = 1_717_236_000) -> dict[str, Any]:
    return {
        "listen_type": kind,
        "payload": [
            {
                "listened_at": at,
                "track_metadata": {
                    "artist_name": artist, "track_name": title, "release_name": "Moon Safari",
                    "additional_info": {"media_player": "x", "duration_ms": 420_000},
                },
            }
            for artist, title in tracks
        ],
    }  # fmt: skip


async def test_events_come_as_lines_too(start: Start) -> None:
    lines = "\n".join(json.dumps(listen()) for _ in range(3)) + '\n\n{"broken": \n'
    async with start() as api:
        kind = {"content-type": "application/x-ndjson"}
        answer = await api.client.post("/events", content=lines, headers=kind)
        none = await api.client.post("/events", content="\n\n", headers=kind)
    assert answer.status_code == 202
    assert [each["verdict"] for each in answer.json()["results"]] == ["accepted"] * 3 + ["rejected"]
    assert none.status_code == 422


async def test_a_named_request_is_carried_out_once(start: Start, broker: str) -> None:
    event = listen()
    async with start() as api:
        name = {"idempotency-key": uuid4().hex}
        first = await api.client.post("/events", json=event, headers=name)
        again = await api.client.post("/events", json=event, headers=name)
        other = await api.client.post("/events", json=SEED, headers=name)
    assert first.json() == again.json()
    assert other.status_code == 409
    assert len(of(broker, "events_listens", {event["event_id"]})) == 1


async def test_names_of_two_callers_do_not_meet(start: Start, database_url: str) -> None:
    one, two = (make_key(database_url, Holder(Scope.INGEST)) for _ in range(2))
    async with start(api_auth="keys") as api:
        name = {"idempotency-key": "same"}
        first = await api.client.post("/events", json=listen(), headers=name | bearer(one))
        second = await api.client.post("/events", json=listen(), headers=name | bearer(two))
    assert [first.status_code, second.status_code] == [202, 202]


async def test_a_scrobbler_submits_what_an_import_would_bring(start: Start, broker: str, database_url: str) -> None:
    artist, user = f"Air {uuid4().hex[:8]}", f"scrobbler-{uuid4().hex}"
    key = make_key(database_url, Holder(Scope.INGEST, user))
    track = Play(user_id=user, played_at=None, artist=artist, title="Talisman", source="x").item_id  # type: ignore[arg-type]
    async with start(api_auth="keys") as api:
        token = {"authorization": f"Token {key}"}
        assert (await api.client.get("/1/validate-token", headers=token)).json()["user_name"] == user
        first = await api.client.post("/1/submit-listens", json=submission((artist, "Talisman")), headers=token)
        again = await api.client.post("/1/submit-listens", json=submission((artist, "Talisman")), headers=token)
        now = await api.client.post(
            "/1/submit-listens", json=submission((artist, "La"), kind="playing_now", at=None), headers=token
        )
        service = bearer(make_key(database_url, Holder(Scope.INGEST)))
        nobody = await api.client.post("/1/submit-listens", json=submission((artist, "La")), headers=service)
    assert [first.status_code, again.status_code, now.status_code, nobody.status_code] == [200, 200, 200, 403]
    found = [value for _, value in messages(broker, "events_listens") if value.get("item_id") == track]
    assert len({value["event_id"] for value in found}) == 1
    assert found[0]["timestamp"] == "2024-06-01T10:00:00Z"
    named = {value["item_id"]: value["name"] for _, value in messages(broker, "catalog_songs") if "item_id" in value}
    assert named[track] == "Talisman"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{}", "no submission"), (b"[" * 5000, "no submission"),
        (json.dumps(submission(("Air", " "))).encode(), "payload[0]: title must not be blank"),
        (json.dumps(submission(("Air", "x"), at=None)).encode(), "listened_at is missing"),
        (json.dumps(submission(("Air", "x"), at=10**18)).encode(), "seconds since 1970"),
        (json.dumps(submission(("Air", "x"), at=10**10)).encode(), "played_at"),
        (json.dumps(submission()).encode(), "1 to 1000 listens, not 0"),
    ],
)  # fmt: skip
async def test_a_submission_that_is_none_is_refused_as_a_whole(start: Start, body: bytes, says: str) -> None:
    async with start() as api:
        answer = await api.client.post("/1/submit-listens", content=body, headers={"authorization": "Token me"})
        nobody = await api.client.post("/1/submit-listens", content=body)
    assert answer.status_code == 400
    assert says in answer.json()["detail"]
    assert (nobody.status_code, nobody.json()["field"]) == (422, "authorization")
