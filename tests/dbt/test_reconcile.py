"""Whatever is lost or changed between lake and marts is named: the table, the day and the event."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from music_assets.warehouse import load_table
from music_assets.warehouse.reconcile import reconcile
from streaming.lake import Lake
from streaming.storage import Storage
from tests.dbt.conftest import plant
from tests.warehouse.lakes import write

if TYPE_CHECKING:
    from pathlib import Path

    Connection = psycopg.Connection[tuple[Any, ...]]

FIRST, LATER = date(2024, 5, 1), date(2024, 5, 2)


@pytest.fixture
def planted(tmp_path: Path) -> Lake:
    """The lake that the module's warehouse was loaded from, written once more."""
    lake = Lake(Storage.local(tmp_path / "lake"))
    plant(lake)
    return lake


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "table", "day", "event"),
    [
        ("delete from silver.events_listens where event_id = 'artist'", "silver.events_listens", LATER, "artist"),
        ("update silver.events_listens set ms_played = 1001 where event_id = 'export'", "silver.events_listens", FIRST,
         "export"),
        ("update silver.events_ratings set rating = 4.999999 where event_id = 'high'", "silver.events_ratings", LATER,
         "high"),
        ("update silver.recommendation_events set reasons[2] = 'x'", "silver.recommendation_events", LATER, "answer"),
        ("update silver.recommendation_events set propensities[3] = 0.0333333", "silver.recommendation_events", LATER,
         "answer"),
        ("update silver.catalog_songs set name = 'sonG' where item_id = 'track:1'", "silver.catalog_songs",
         date(1970, 1, 1), "track:1"),
        ("delete from intermediate.int_listens_deduplicated where event_id = 'album'",
         "intermediate.int_listens_deduplicated", LATER, "album"),
        ("update intermediate.int_listens_deduplicated set ms_played = 7 where event_id = 'again'",
         "intermediate.int_listens_deduplicated", FIRST, "again"),
        ("delete from marts.fct_listens where event_id = 'live'", "marts.fct_listens", FIRST, "live"),
        ("update marts.fct_listens set context = 'other' where event_id = 'led'", "marts.fct_listens", LATER, "led"),
        ("update marts.fct_ratings set rating = 2 where event_id = 'low'", "marts.fct_ratings", FIRST, "low"),
        ("delete from marts.fct_recommendations where position = 2", "marts.fct_recommendations", LATER, "answer"),
        ("update marts.fct_recommendations set arm = 'champion'", "marts.fct_recommendations", LATER, "answer"),
        ("update marts.fct_interactions set views = 3 where views = 2", "marts.fct_interactions", FIRST, "u1 track:1"),
    ],
)  # fmt: skip
def test_damage_is_named(
    marts: Connection,
    planted: Lake,
    damage: str,
    table: str,
    day: date,
    event: str,
) -> None:
    with marts.transaction(force_rollback=True):
        marts.execute(damage)
        found = reconcile(marts, planted)

    assert (table, day, (event,)) in {(each.table, each.day, each.ids) for each in found}
    assert f"{table} on {day}: {event}" in " ".join(map(str, found))


@pytest.mark.slow
def test_what_agrees_has_no_difference_though_the_lake_went_on(
    marts: Connection,
    planted: Lake,
) -> None:
    assert reconcile(marts, planted) == []
    write(planted, "events_listens", {"event_id": "new", "kafka_offset": 100})
    write(
        planted, "catalog_songs",
        {"item_id": "track:1", "name": "Renamed", "artist_id": "artist:1", "kafka_offset": 100},
        {"item_id": "track:2", "name": "Other", "artist_id": "artist:1", "album_id": "album:2", "kafka_offset": 1},
        mode="overwrite",
    )  # fmt: skip
    assert reconcile(marts, planted) == []


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
def test_a_load_that_lands_after_the_build_is_no_difference(marts: Connection, planted: Lake, whole: bool) -> None:
    new = {"kafka_offset": 100, "event_id": "new", "rating": 3.0}
    with marts.transaction(force_rollback=True):
        reconcile(marts, planted)
        for name in ("events_listens", "events_views", "events_clicks", "events_ratings", "recommendation_events"):
            load_table(marts, planted, write(planted, name, new))

        assert reconcile(marts, planted, whole=whole) == []


@pytest.mark.slow
def test_only_what_came_since_is_compared_unless_all_is_asked_for(marts: Connection, planted: Lake) -> None:
    with marts.transaction(force_rollback=True):
        assert reconcile(marts, planted) == []
        marts.execute("update silver.events_ratings set rating = 4.5 where event_id = 'high'")
        listens = write(planted, "events_listens", *({"kafka_offset": 100 + n, "event_id": f"n{n}"} for n in range(3)))
        load_table(marts, planted, listens)
        marts.execute("delete from silver.events_listens where event_id = 'n1'")
        marts.execute("update silver.events_listens set ms_played = 3 where event_id = 'n2'")

        new = reconcile(marts, planted, whole=False)
        again = reconcile(marts, planted, whole=False)
        everything = reconcile(marts, planted)

    assert [(each.table, each.ids) for each in new] == [("silver.events_listens", ("n1", "n2"))]
    assert again == new, "what differs is compared again until it agrees"
    assert {(each.table, each.ids) for each in everything} >= {
        ("silver.events_listens", ("n1", "n2")), ("silver.events_ratings", ("high",)), ("marts.fct_ratings", ("high",)),
    }  # fmt: skip
