"""What the API reads of the marts, on tables of their contracts."""

from __future__ import annotations

import time
from datetime import date
from typing import TYPE_CHECKING

import psycopg
import pytest

from streaming.errors import ContractError
from tests.serving import marts, worlds
from tests.serving.conftest import Running, Start, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(start: Start, database_url: str) -> AsyncIterator[Running]:
    with psycopg.connect(database_url) as connection:
        marts.plant(connection)
    async with start() as api:
        api.parts.privacy._identity._memory.update({"me": "u1", "you": "u2"})
        yield api


async def test_a_chart_comes_page_by_page_and_not_twice(api: Running) -> None:
    first = await api.get("/charts", kind="track", week="2024-05-03", limit=1)
    page = first.json()
    assert (page["week"], page["degraded"]) == ("2024-04-29", False)
    seen = [item["item_id"] for item in page["items"]]
    while cursor := page.get("next"):
        page = (await api.get("/charts", limit=1, cursor=cursor)).json()
        seen += [item["item_id"] for item in page["items"]]
    assert seen == ["track:1", "track:2", "track:3"]
    [top] = first.json()["items"]
    assert (top["rank"], top["name"], top["artist_name"], top["listeners"]) == (1, "Song", "One", 1)
    again = await api.client.get(
        "/charts?kind=track&week=2024-05-01&limit=1", headers={"if-none-match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert (await api.get("/charts")).json()["week"] == "2024-05-06", "the newest week"
    assert (await api.get("/charts", week="1999-01-01")).status_code == 404
    assert (await api.get("/charts", cursor="nonsense")).json()["field"] == "cursor"


async def test_what_is_known_of_each_kind_of_item(api: Running) -> None:
    track = (await api.get("/items/1")).json()
    assert (track["name"], track["artist_name"], track["album_name"]) == ("Song", "One", "First")
    assert track["as_of"]
    assert (await api.get("/items/artist:1")).json()["name"] == "One"
    assert (await api.get("/items/album:1")).json()["artist_id"] == "artist:1"
    assert (await api.get("/items/track:nobody")).status_code == 404


async def test_statistics_count_in_the_zone_that_is_asked_for(api: Running) -> None:
    every = (await api.get("/users/you/stats", range="all")).json()
    assert (every["zone"], every["first_day"]) == ("UTC", None)
    assert every["listens"] == 4
    assert every["recommended"] == 1
    assert sum(every["hours"]) == sum(every["weekdays"]) == sum(day["listens"] for day in every["days"]) == 4
    assert every["hours"][12] == 4
    assert {item["item_id"] for item in every["top_tracks"]} == {"track:2", "track:99"}
    assert every["top_artists"][0] == {"item_id": "artist:1", "name": "One", "artist_name": None, "listens": 2}
    far = (await api.get("/users/you/stats", range="all", zone="Pacific/Kiritimati")).json()
    assert far["hours"][2] == 4, "noon in London is two the next morning there"
    one = (await api.get("/users/you/stats", first="2024-05-02", last="2024-05-02")).json()
    assert one["listens"] == 3
    there = (await api.get("/users/you/stats", first="2024-05-03", last="2024-05-03", zone="Pacific/Kiritimati")).json()
    assert there["listens"] == 3
    assert (await api.get("/users/you/stats", range="week")).json()["listens"] == 0


async def test_statistics_that_make_no_sense_are_refused(api: Running) -> None:
    zone = await api.get("/users/me/stats", zone="Europe/Bruxelles")
    order = await api.get("/users/me/stats", first="2024-05-02", last="2024-05-01")
    assert [(each.status_code, each.json()["field"]) for each in (zone, order)] == [(422, "zone"), (422, "last")]
    assert (await api.get("/users/nobody/stats")).status_code == 404


async def test_a_warehouse_that_is_away_costs_freshness_and_no_time(api: Running) -> None:
    worlds.names(api.parts.settings, {"artist:1": "One"})
    await eventually(lambda: bool(api.parts.names.value))
    good = (await api.get("/charts", week="2024-05-01")).json()
    await api.parts.charts._warehouse.close()
    begin = time.perf_counter()
    kept = (await api.get("/charts", week="2024-05-01")).json()
    assert kept == good | {"degraded": True}
    item = (await api.get("/items/artist:1")).json()
    assert (item["name"], item["degraded"]) == ("One", True)
    assert (await api.get("/charts", week="1999-01-01")).status_code == 503
    assert (await api.get("/users/me/stats")).status_code == 503, "nothing true can be said"
    assert time.perf_counter() - begin < 3


async def test_a_build_that_holds_a_table_does_not_take_identity_with_it(api: Running, database_url: str) -> None:
    with psycopg.connect(database_url) as build:
        build.execute("lock table marts.fct_listens in access exclusive mode")
        begin = time.perf_counter()
        stats = await api.get("/users/you/stats", range="all")
        assert (stats.status_code, time.perf_counter() - begin < 2.5) == (503, True)
        assert "built" in stats.json()["detail"]
        assert api.parts.charts._warehouse.dependency.state == "up"
    assert (await api.get("/users/you/stats", range="all")).status_code == 200


def test_a_cursor_is_read_as_it_was_written() -> None:
    from serving.charts.store import Place, decode

    place = Place(date(2024, 4, 29), 7, "track:ü")
    assert decode(place.encode()) == place
    for wrong in ("", "AAAA", Place(None, 1, "x").encode(), Place(date(2024, 1, 1), -1, "x").encode()):
        with pytest.raises(ContractError):
            decode(wrong)
