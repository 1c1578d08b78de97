"""Signing in to the page and out: cookies, tokens, ends of sessions, and who guesses."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from music_assets import accounts
from serving.access import callers, sessions
from serving.access.sessions import COOKIE
from serving.app import create_app
from streaming.errors import ConfigurationError
from tests.serving.conftest import Running, Start, eventually, listen
from tests.serving.test_access import PASSWORD, bearer, make_account, sign_in
from tests.serving.test_outages import nowhere
from tests.serving.test_privacy import dump

if TYPE_CHECKING:
    from tests.conftest import MakeSettings

pytestmark = pytest.mark.anyio


def person() -> str:
    return f"planted-{uuid4().hex}"


async def who(api: Running, headers: dict[str, str]) -> dict[str, Any]:
    answer = await api.client.get("/session", headers=headers)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_a_listener_signs_in_acts_and_signs_out(start: Start, database_url: str) -> None:
    user = person()
    name = make_account(database_url, user)
    async with start(api_auth="keys") as api:
        before = await who(api, {})
        headers = await sign_in(api, name.upper())
        inside = await who(api, headers)
        sent = await api.client.post("/events", json=[listen(user_id=user), listen(user_id="other")], headers=headers)
        other = await api.client.get("/users/other/export", headers=headers)
        ledger = await api.client.get("/ledger", headers=headers)
        out = await api.client.delete("/session", headers=headers)
        after = await who(api, headers)
        gone = await api.client.post("/events", json=listen(user_id=user), headers=headers)
    nobody = {"mode": "keys", "signed_in": False, "account": None, "user_id": None, "operator": False, "csrf": None}
    assert before == after == nobody
    assert inside == {
        "mode": "keys", "signed_in": True, "account": name, "user_id": user, "operator": False,
        "csrf": headers["x-csrf-token"],
    }  # fmt: skip
    assert [each["verdict"] for each in sent.json()["results"]] == ["accepted", "rejected"]
    assert [other.status_code, ledger.status_code, out.status_code, gone.status_code] == [403, 403, 204, 401]
    assert f'{COOKIE}=""' in out.headers["set-cookie"]


async def test_a_cookie_alone_changes_nothing(start: Start, database_url: str) -> None:
    user = person()
    name = make_account(database_url, user)
    async with start(api_auth="keys") as api:
        headers, others = await sign_in(api, name), await sign_in(api, name)
        alone = {"cookie": headers["cookie"]}
        read = await api.client.get(f"/users/{user}/export", headers=alone)
        refused = [
            await api.client.post("/events", json=listen(user_id=user), headers=alone),
            await api.client.post("/events", json=listen(user_id=user), headers=alone | {"x-csrf-token": ""}),
            await api.client.put(f"/users/{user}/hidden/track:t1", headers=headers | {"x-csrf-token": b"\xe9"}),
            await api.client.delete(f"/users/{user}", headers=alone),
            await api.client.delete("/session", headers=headers | {"x-csrf-token": others["x-csrf-token"]}),
        ]
        still = await who(api, headers)
    assert read.status_code == 200
    assert [answer.status_code for answer in refused] == [403] * 5
    assert "X-CSRF-Token" in refused[0].json()["detail"]
    assert still["signed_in"]


async def test_the_cookie_is_kept_from_scripts_and_other_sites(
    make_settings: MakeSettings, broker: str, database_url: str, redis_url: str
) -> None:
    name = make_account(database_url)
    chosen = make_settings(
        kafka_bootstrap_servers=broker, database_url=database_url, redis_url=redis_url, api_auth="keys"
    )
    app = create_app(chosen)
    async with app.router.lifespan_context(app):
        cookies = []
        for scheme in ("http", "https"):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://music.example") as client:
                answer = await client.post("/session", json={"account": name, "password": PASSWORD})
                cookies.append(answer.headers["set-cookie"].lower())
                assert answer.headers["cache-control"] == "no-store"
    for cookie in cookies:
        assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.split("; "))
    assert ["; secure" in cookie for cookie in cookies] == [False, True]


async def test_a_page_elsewhere_cannot_sign_a_browser_in(start: Start, database_url: str) -> None:
    body = json.dumps({"account": make_account(database_url), "password": PASSWORD})
    async with start(api_auth="keys") as api:
        plain = await api.client.post("/session", content=body, headers={"content-type": "text/plain"})
        form = await api.client.post("/session", data={"account": "a", "password": "b"})
    assert [plain.status_code, form.status_code] == [422, 422]


async def test_signing_in_gives_a_new_session_and_ends_the_old_one(start: Start, database_url: str) -> None:
    name = make_account(database_url)
    async with start(api_auth="keys") as api:
        first = await sign_in(api, name)
        # A cookie that somebody planted is not the one that signing in makes valid.
        planted = {"cookie": f"{COOKIE}={'A' * 43}"}
        answer = await api.client.post("/session", json={"account": name, "password": PASSWORD}, headers=planted)
        api.client.cookies.clear()
        again = await api.client.post("/session", json={"account": name, "password": PASSWORD}, headers=first)
        api.client.cookies.clear()
        states = [(await who(api, headers))["signed_in"] for headers in (first, planted)]
        assert (await who(api, {"cookie": f"{COOKIE}={again.cookies[COOKIE]}"}))["operator"]
    assert len({first["cookie"], answer.cookies[COOKIE], again.cookies[COOKIE], "A" * 43}) == 4
    assert states == [False, False]


@pytest.mark.parametrize(
    "ended", ["expires_at = now() - interval '1 s'", "seen_at = now() - interval '13 hours'", "password", "removed"]
)
async def test_a_session_ends(start: Start, database_url: str, monkeypatch: pytest.MonkeyPatch, ended: str) -> None:
    monkeypatch.setattr(callers, "FRESH_SECONDS", 0.0)
    name = make_account(database_url)
    async with start(api_auth="keys") as api:
        headers = await sign_in(api, name)
        assert (await who(api, headers))["signed_in"]
        await api.parts.sessions.used.flush()
        with psycopg.connect(database_url) as connection:
            if ended == "password":
                accounts.set_password(connection, name, "another good one")
            elif ended == "removed":
                accounts.remove(connection, name)
            else:
                connection.execute(f"update identity.sessions set {ended}")
        assert not (await who(api, headers))["signed_in"]
        assert (await api.client.get("/ledger", headers=headers)).status_code == 401


async def test_a_used_session_stays_and_what_ended_is_swept(start: Start, database_url: str) -> None:
    name = make_account(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        # Which tests have left theirs depends on who of them ran in this process.
        connection.execute("delete from identity.sessions")
        async with start(api_auth="keys") as api:
            headers = await sign_in(api, name)
            connection.execute("update identity.sessions set seen_at = now() - interval '1 hour'")
            await who(api, headers)

            async def is_noted() -> bool:
                # What PostgreSQL does not take in time waits for the next.
                await api.parts.sessions.used.flush()
                seen = connection.execute("select max(now() - seen_at) from identity.sessions").fetchone()
                return seen is not None and bool(seen[0] < timedelta(minutes=1))

            await eventually(is_noted)
            connection.execute("update identity.sessions set expires_at = now() - interval '1 s'")
            await sign_in(api, name)
            left = connection.execute("select count(*) from identity.sessions").fetchone()
    assert left == (1,)


async def test_who_guesses_is_slowed_down_and_learns_nothing(
    start: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_TRIES_OF_ONE", 2)
    name = make_account(database_url)

    async def attempt(api: Running, account: str, password: str = "a wrong password") -> httpx.Response:
        return await api.client.post("/session", json={"account": account, "password": password})

    async with start(api_auth="keys") as api:
        wrong, unknown = await attempt(api, name), await attempt(api, person())
        second = await attempt(api, name)
        third = await attempt(api, name, PASSWORD)
        other = await attempt(api, make_account(database_url), PASSWORD)
    assert wrong.json() == unknown.json()
    assert wrong.headers["content-type"] == "application/problem+json"
    assert [each.status_code for each in (wrong, unknown, second, third, other)] == [401, 401, 401, 429, 200]
    assert 0 < int(third.headers["retry-after"]) <= 900


async def test_without_postgres_a_known_session_goes_on_and_no_new_one_begins(
    start: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "FRESH_SECONDS", 0.0)
    name = make_account(database_url)
    async with start(api_auth="keys") as api:
        headers = await sign_in(api, name)
        assert (await who(api, headers))["signed_in"]
        await api.parts.sessions._database.close()
        known = await who(api, headers)
        unknown = await api.client.get("/session", headers={"cookie": f"{COOKIE}={'A' * 43}"})
        new = await api.client.post("/session", json={"account": name, "password": PASSWORD})
    assert known["signed_in"]
    assert [unknown.status_code, new.status_code] == [503, 503]


async def test_without_redis_tries_are_counted_all_the_same(
    start: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_TRIES_OF_ONE", 1)
    asked = {"account": make_account(database_url), "password": "a wrong password"}
    async with start(api_auth="keys", redis_url=f"redis://{nowhere()}/0") as api:
        answers = [await api.client.post("/session", json=asked) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 429]


async def test_where_nobody_is_asked_nobody_signs_in(start: Start) -> None:
    async with start() as api:
        found = await who(api, {})
        asked = await api.client.post("/session", json={"account": "a", "password": "b"})
        out = await api.client.delete("/session")
    assert found == {
        "mode": "open", "signed_in": True, "account": None, "user_id": None, "operator": True, "csrf": None,
    }  # fmt: skip
    assert [asked.status_code, out.status_code] == [409, 204]


async def test_a_key_needs_no_token_and_is_no_session(start: Start, database_url: str) -> None:
    from music_assets import keys

    with psycopg.connect(database_url) as connection:
        key = keys.create(connection, name="n", scopes=["admin"])
    name = make_account(database_url)
    async with start(api_auth="keys") as api:
        cookie = {"cookie": (await sign_in(api, name))["cookie"]}
        found = await who(api, bearer(key))
        sent = await api.client.post("/events", json=listen(), headers=bearer(key) | cookie)
    assert (found["signed_in"], sent.status_code) == (False, 202)


async def test_the_account_of_an_erased_person_goes_with_them(start: Start, database_url: str) -> None:
    user = person()
    name = make_account(database_url, user)
    async with start(api_auth="keys") as api:
        headers = await sign_in(api, name)
        export = await api.client.get(f"/users/{user}/export", headers=headers)
        assert (await api.client.delete(f"/users/{user}", headers=headers)).status_code == 202
        assert not (await who(api, headers))["signed_in"]
        again = await api.client.post("/session", json={"account": name, "password": PASSWORD})
    text = dump(database_url)
    assert again.status_code == 401
    assert (name in text, user in text) == (False, False)
    held = zipfile.ZipFile(io.BytesIO(export.content)).read("identity/accounts.jsonl").decode()
    assert json.loads(held)["name"] == name
    assert "argon2" not in held
    with psycopg.connect(database_url) as connection, pytest.raises(ConfigurationError, match="erased"):
        accounts.create(connection, name, PASSWORD, user_id=user)


async def test_no_secret_is_kept(start: Start, database_url: str) -> None:
    name = make_account(database_url)
    async with start(api_auth="keys") as api:
        headers = await sign_in(api, name)
    text = dump(database_url)
    session_id = headers["cookie"].partition("=")[2]
    assert [secret in text for secret in (PASSWORD, session_id, headers["x-csrf-token"])] == [False] * 3


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": ""}, "is no name"), ({"name": "a b"}, "is no name"), ({"password": "short"}, "10 to 200"),
        ({"is_operator": False}, "--user LISTENER, --operator"), ({"name": "taken"}, "there is an account"),
    ],
)  # fmt: skip
def test_an_account_that_makes_no_sense_is_not_made(database_url: str, wrong: dict[str, Any], says: str) -> None:
    good = {"name": "name", "password": PASSWORD, "is_operator": True}
    with psycopg.connect(database_url) as connection:
        if wrong.get("name") == "taken":
            accounts.create(connection, "Taken", PASSWORD, is_operator=True)
        with pytest.raises(ConfigurationError, match=says):
            accounts.create(connection, **(good | wrong))
