"""Who may ask what: every route, with every kind of key, for oneself and for another; and what limits do."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest

from music_assets import accounts, keys
from music_assets.keys import Scope
from serving.access import callers
from serving.access.sessions import COOKIE
from serving.app import create_app
from streaming.errors import ConfigurationError
from tests.conftest import MakeSettings
from tests.serving.conftest import Running, Start, listen
from tests.serving.test_outages import nowhere

pytestmark = pytest.mark.anyio

ME, OTHER = "person-me", "person-other"
EXAMPLES = {"item_id": "track:t1", "import_id": "0b9a1f9e-3c39-4b0e-8b5e-3f6f0c6f7c55"}
ALONE = {("DELETE", "/users/{user_id}"), ("DELETE", "/session"), ("GET", "/users/{user_id}/plays")}
"""They would take keys and sessions of those who ask next, or do not end; tests of their own ask them."""
EXAMPLES |= {"erasure_id": EXAMPLES["import_id"], "redrive_id": EXAMPLES["import_id"], "topic": "events_views"}


PASSWORD = "correct horse battery"


class Holder(NamedTuple):
    """A kind of key or of account; `person` is whom it is bound to."""

    scope: Scope | None
    person: str | None = None
    signs_in: bool = False


HOLDERS = [
    Holder(None), *(Holder(scope, person) for scope in Scope for person in (None, ME)),
    *(Holder(Scope.ADMIN, person, signs_in=True) for person in (None, ME)),
]  # fmt: skip


class Route(NamedTuple):
    method: str
    path: str
    scope: str
    whole: bool
    by_query: bool
    own: bool


def routes(make_settings: MakeSettings) -> list[Route]:
    paths = create_app(make_settings()).openapi()["paths"]
    return [
        Route(
            method.upper(), path, operation["x-scope"], operation.get("x-whole-platform", False),
            any(each["name"] == "user_id" and each["in"] == "query" for each in operation.get("parameters", [])),
            operation.get("x-one-person", False),
        )
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]  # fmt: skip


def expected(route: Route, holder: Holder, person: str) -> int | None:
    """The status of a refusal, None if the request gets to its handler."""
    if route.scope == "none":
        return None
    if holder.scope is None:
        return 401
    if holder.scope not in (route.scope, Scope.ADMIN):
        return 403
    if route.own and holder.person is None:
        return 403
    personal = "{user_id}" in route.path or route.by_query
    return 403 if holder.person and (route.whole or (personal and person != holder.person)) else None


def make_key(database_url: str, holder: Holder, **more: Any) -> str:
    with psycopg.connect(database_url) as connection:
        return keys.create(
            connection, name="test", scopes=[str(holder.scope)], user_id=holder.person, **more
        )  # fmt: skip


def bearer(key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def make_account(database_url: str, person: str | None = None) -> str:
    """An account of a listener, or of an operator."""
    name = f"account-{uuid4().hex}"
    with psycopg.connect(database_url) as connection:
        accounts.create(connection, name, PASSWORD, user_id=person, is_operator=person is None)
    return name


async def sign_in(api: Running, name: str, password: str = PASSWORD) -> dict[str, str]:
    """Headers of a page of who signed in; the client itself keeps no cookie."""
    answer = await api.client.post("/session", json={"account": name, "password": password})
    assert answer.status_code == 200, answer.text
    api.client.cookies.clear()
    return {"cookie": f"{COOKIE}={answer.cookies[COOKIE]}", "x-csrf-token": answer.json()["csrf"]}


async def headers_of(api: Running, database_url: str, holder: Holder) -> dict[str, str]:
    if holder.signs_in:
        return await sign_in(api, make_account(database_url, holder.person))
    return bearer(make_key(database_url, holder)) if holder.scope else {}


async def ask(api: Running, route: Route, headers: dict[str, str], person: str) -> int:
    path = re.sub(r"\{(\w+)\}", lambda found: EXAMPLES.get(found[1], person), route.path)
    query = {"user_id": person} if route.by_query else {}
    answer = await api.client.request(route.method, path, params=query, headers=headers)
    if answer.status_code in (401, 403):
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code


def test_every_route_says_what_it_needs(make_settings: MakeSettings) -> None:
    for path, operations in create_app(make_settings()).openapi()["paths"].items():
        for method, operation in operations.items():
            assert operation.get("x-scope") in {*Scope, "none"}, f"{method} {path} says nothing: use needs() or OPEN"
            assert bool(operation["security"]) == (operation["x-scope"] != "none")


async def test_every_route_is_open_to_whom_it_says_and_nobody_else(
    start: Start, make_settings: MakeSettings, database_url: str
) -> None:
    async with start(api_auth="keys", api_rate_per_key=0, api_rate_per_ip=0) as api:
        made = {holder: await headers_of(api, database_url, holder) for holder in HOLDERS}
        for route in sorted(routes(make_settings), key=lambda each: each.method == "DELETE"):
            for holder, headers in made.items():
                for person in (ME, OTHER):
                    wanted = expected(route, holder, person)
                    if (route.method, route.path) in ALONE and wanted is None:
                        continue
                    status = await ask(api, route, headers, person)
                    assert status != 500, (route, holder)
                    assert (status if status in (401, 403) else None) == wanted, (route, holder, person)


async def test_a_key_of_one_person_sends_their_events_only(start: Start, database_url: str) -> None:
    key = make_key(database_url, Holder(Scope.INGEST, ME))
    async with start(api_auth="keys") as api:
        answer = await api.client.post("/events", json=[listen(user_id=ME), listen(user_id=OTHER)], headers=bearer(key))
        upload = await api.client.post("/imports?kind=kaggle_tracks", content=b"x", headers=bearer(key))
    mine, others = answer.json()["results"]
    assert (mine["verdict"], others["verdict"], others["field"]) == ("accepted", "rejected", "user_id")
    assert upload.status_code == 403


async def test_an_import_of_another_person_looks_like_none(start: Start, database_url: str) -> None:
    mine, others = (make_key(database_url, Holder(Scope.ADMIN, person)) for person in (ME, OTHER))
    content = b'[{"endTime": "2024-01-01 10:00", "artistName": "A", "trackName": "B", "msPlayed": 1000}]'
    async with start(api_auth="keys") as api:
        made = await api.client.post(f"/imports?kind=spotify&user_id={ME}", content=content, headers=bearer(mine))
        path = f"/imports/{made.json()['import_id']}"
        assert (await api.client.get(path, headers=bearer(mine))).status_code == 200
        assert (await api.client.get(path, headers=bearer(others))).status_code == 404
        assert (await api.client.post(f"{path}/resume", headers=bearer(others))).status_code == 404


async def test_a_revoked_key_an_expired_one_and_a_wrong_secret_open_nothing(
    start: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "FRESH_SECONDS", 0.0)
    good = make_key(database_url, Holder(Scope.READ))
    short = make_key(database_url, Holder(Scope.READ), lifetime=timedelta(seconds=-1))
    key_id = good.split("_")[1]
    async with start(api_auth="keys") as api:

        async def status(key: str) -> int:
            return (await api.client.get("/trending", headers=bearer(key))).status_code

        assert await status(good) == 200
        assert await status(short) == 401
        assert await status(f"music_{key_id}_{'A' * 43}") == 401
        assert await status("nonsense") == 401
        with psycopg.connect(database_url) as connection:
            newer = keys.rotate(connection, key_id, grace=timedelta(hours=1))
            assert [await status(good), await status(newer)] == [200, 200]
            keys.revoke(connection, key_id)
            assert [await status(good), await status(newer)] == [401, 200]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select action from identity.api_audit where key_id = %s order by audit_id", (key_id,)
        ).fetchall()
        used = keys.get(connection, newer.split("_")[1])
        dump = connection.execute("select string_agg(api_keys::text, ' ') from identity.api_keys").fetchone()
    assert rows == [("created",), ("rotated",), ("revoked",)]
    assert used.last_used_at is not None
    assert good.split("_")[2] not in str(dump)
    assert used.secret_hash not in {good.encode(), newer.encode()}


async def test_a_known_key_goes_on_while_postgres_is_away_and_an_unknown_one_is_a_503(
    start: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "FRESH_SECONDS", 0.0)
    key = make_key(database_url, Holder(Scope.READ))
    async with start(api_auth="keys") as api:
        assert (await api.client.get("/trending", headers=bearer(key))).status_code == 200
        await api.parts.keys._database.close()
        known = await api.client.get("/trending", headers=bearer(key))
        unknown = await api.client.get("/trending", headers=bearer(f"music_{'0' * 12}_{'A' * 43}"))
        alive = await api.client.get("/health", headers=bearer(f"music_{'0' * 12}_{'A' * 43}"))
    assert (known.status_code, unknown.status_code, alive.status_code) == (200, 503, 200)
    assert unknown.headers["retry-after"]


@pytest.mark.parametrize("redis_is", ["there", "away"])
async def test_who_asks_too_often_is_told_when_to_come_back(start: Start, database_url: str, redis_is: str) -> None:
    key = make_key(database_url, Holder(Scope.READ))
    gone = {} if redis_is == "there" else {"redis_url": f"redis://{nowhere()}/0"}
    async with start(api_auth="keys", api_rate_per_key=3, api_rate_per_ip=2, **gone) as api:
        first = await api.client.get("/trending", headers=bearer(key))
        answers = [await api.client.get("/trending", headers=bearer(key)) for _ in range(6)]
        nobody = [await api.client.get("/health") for _ in range(4)]
        probe = await api.client.get("/health/live")
    assert (first.headers["ratelimit-limit"], first.headers["ratelimit-remaining"]) == ("3", "2")
    # The test may meet the turn of a minute, which lets at most one limit's worth more in.
    refused = answers[-1] if answers[-1].status_code == 429 else answers[2]
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["ratelimit-remaining"] == "0"
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert 0 < int(refused.headers["ratelimit-reset"]) <= 60
    assert nobody[-1].status_code == 429
    assert probe.status_code == 200


async def test_one_limit_holds_for_two_processes(start: Start, database_url: str) -> None:
    key = make_key(database_url, Holder(Scope.READ))
    async with start(api_auth="keys", api_rate_per_key=10) as one, start(api_auth="keys", api_rate_per_key=10) as two:
        answers = await asyncio.gather(
            *(api.client.get("/trending", headers=bearer(key)) for api in (one, two) for _ in range(15))
        )
    assert 10 <= sum(answer.status_code == 200 for answer in answers) <= 20


async def test_without_keys_only_this_machine_is_served(start: Start) -> None:
    async with start() as api:
        foreign = await api.client.get("/trending", headers={"host": "music.example"})
        page = await api.client.post("/events", json=listen(), headers={"origin": "https://evil.example"})
        own = await api.client.post("/events", json=listen(), headers={"origin": "http://localhost"})
    assert (foreign.status_code, page.status_code, own.status_code) == (403, 403, 202)


async def test_a_page_on_the_list_may_ask_and_no_other(start: Start) -> None:
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    async with start(api_auth="keys", api_cors_origins="https://music.example") as api:
        good = await api.client.options("/trending", headers={"origin": "https://music.example", **asked})
        bad = await api.client.options("/trending", headers={"origin": "https://evil.example", **asked})
    assert good.headers["access-control-allow-origin"] == "https://music.example"
    assert "access-control-allow-origin" not in bad.headers


async def test_every_answer_carries_the_headers_of_safety(start: Start) -> None:
    async with start() as api:
        answers = [await api.get(path) for path in ("/trending", "/nowhere", "/docs", "/metrics")]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "script-src 'self';" in answers[0].headers["content-security-policy"]


def test_open_to_everybody_on_the_network_is_refused(make_settings: MakeSettings) -> None:
    with pytest.raises(ValueError, match=r"set API_AUTH=keys, or API_HOST=127\.0\.0\.1"):
        make_settings(api_host="0.0.0.0")
    assert make_settings(api_host="0.0.0.0", api_auth="keys").api_host == "0.0.0.0"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"scopes": ["write"]}, "valid: ingest, read, admin"), ({"scopes": []}, "opens nothing"), ({"name": ""}, "name")],
)
def test_a_key_that_makes_no_sense_is_not_made(database_url: str, wrong: dict[str, Any], says: str) -> None:
    with psycopg.connect(database_url) as connection, pytest.raises(ConfigurationError, match=says):
        keys.create(connection, **({"name": "n", "scopes": ["read"]} | wrong))
