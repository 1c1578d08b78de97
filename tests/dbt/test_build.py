"""The planted lake, built: known answers in the marts, and every kind of damage fails the test that names it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from music_assets.settings import Settings
from music_assets.warehouse import dbt
from tests.warehouse.lakes import NOON

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from tests.dbt.conftest import Dbt

    Connection = psycopg.Connection[tuple[Any, ...]]


def select(marts: Connection, query: str) -> list[tuple[Any, ...]]:
    return marts.execute(query).fetchall()


def test_every_model_and_test_passes(built: dict[str, str]) -> None:
    assert {name: status for name, status in built.items() if status not in {"success", "pass", "no-op"}} == {}
    assert {"fct_listens", "no_play_is_counted_twice", "live_and_export_tell_of_one_play"} <= built.keys()


def test_the_documentation_is_one_page_with_every_mart(warehouse: str, built: dict[str, str], tmp_path: Path) -> None:
    page = dbt.docs(Settings(_env_file=None, database_url=warehouse, music_home=tmp_path))
    text = page.read_text(encoding="utf-8")
    assert {"model.music.fct_listens", "model.music.mart_recap_facts"} <= set(re.findall(r"model\.music\.\w+", text))
    assert [file.name for file in page.parent.iterdir()] == ["warehouse.html"]


def test_one_play_under_two_ids_is_one_listen(marts: Connection) -> None:
    plays = select(
        marts, "select event_id, event_ids, source, ms_played from intermediate.int_listens_deduplicated "
        "where user_id = 'u1' order by listened_at",
    )  # fmt: skip

    assert plays == [("live", ["live", "export"], "web", 1000), ("again", ["again"], "web", None)]
    assert select(marts, "select count(*) from marts.fct_listens") == [(6,)]


def test_a_listen_knows_track_and_artist_by_the_kind_of_its_item(marts: Connection) -> None:
    listens = select(marts, "select event_id, item_id, track_id, artist_id, date_key from marts.fct_listens")

    assert set(listens) == {
        ("live", "track:1", "track:1", "artist:1", 20240501),
        ("again", "track:1", "track:1", "artist:1", 20240501),
        ("artist", "artist:7", None, "artist:7", 20240502),
        ("album", "album:1", None, "artist:1", 20240502),
        ("unknown", "track:99", "track:99", None, 20240511),
        ("led", "track:2", "track:2", "artist:1", 20240502),
    }


def test_items_that_only_events_or_other_items_name_are_flagged(marts: Connection) -> None:
    items = select(
        marts,
        """
        select track_id, track_name, in_catalog from marts.dim_track
        union all select album_id, album_name, in_catalog from marts.dim_album
        union all select artist_id, artist_name, in_catalog from marts.dim_artist
        """,
    )

    assert set(items) == {
        ("track:1", "Song", True), ("track:2", "Other", True), ("track:99", None, False), ("track:5", None, False),
        ("album:1", "First", True), ("album:2", None, False), ("artist:1", "One", True), ("artist:7", None, False),
    }  # fmt: skip


def test_a_listener_is_whoever_any_event_names(marts: Connection) -> None:
    users = select(marts, "select user_id, first_seen_at, last_seen_at from marts.dim_user order by 1")

    day = timedelta(days=1)
    assert users == [
        ("u1", NOON - day, NOON + day),
        ("u2", NOON + day - timedelta(seconds=1), NOON + 10 * day),
        ("u3", NOON, NOON),
    ]


def test_interactions_count_plays_views_and_clicks(marts: Connection) -> None:
    query = "select user_id, item_id, plays, views, clicks from marts.fct_interactions where item_id = 'track:1'"

    assert set(select(marts, query)) == {("u1", "track:1", 2, 2, 1), ("u3", "track:1", 0, 0, 1)}


def test_the_last_rating_is_marked(marts: Connection) -> None:
    query = "select event_id, rating, is_latest from marts.fct_ratings order by rated_at"

    assert select(marts, query) == [("low", 1.0, False), ("high", 5.0, True)]


def test_a_recommendation_knows_its_arm_and_propensity(marts: Connection) -> None:
    query = "select experiment, arm, propensity from marts.fct_recommendations order by position"

    assert select(marts, query) == [("first", "challenger", each) for each in (0.95, 0.95, 0.1 / 3, 1.0)]


def test_a_recommendation_knows_whether_a_listen_followed(marts: Connection) -> None:
    shown = select(
        marts, "select position, item_id, source, reason, listened_within_day from marts.fct_recommendations order by 1"
    )

    assert shown == [
        (1, "artist:7", "als", "a", True),  # played
        (2, "artist:1", "als", "b", True),  # one of its tracks was played from this recommendation
        (3, "track:99", "popular", "c", False),  # played nine days later
        (4, "track:5", "popular", "d", False),  # never played
    ]


def test_dates_have_no_gap(marts: Connection) -> None:
    days = select(marts, "select count(*), max(date_day) - min(date_day) + 1 from marts.dim_date")
    known = select(
        marts, "select date_key, iso_day_of_week, quarter_of_year from marts.dim_date where date_day = '2024-02-29'"
    )

    assert days[0][0] == days[0][1]
    assert known == [(20240229, 4, 1)]


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("insert into marts.fct_listens select * from marts.fct_listens limit 1", "no_play_is_counted_twice"),
        ("insert into marts.fct_listens select * from marts.fct_listens limit 1", "unique_fct_listens_listen_id"),
        ("delete from marts.fct_listens where event_id = 'live'", "every_stored_listen_is_in_one_play"),
        ("delete from marts.dim_user where user_id = 'u2'", "relationships_fct_listens_user_id"),
        ("delete from marts.dim_track where track_id = 'track:1'", "relationships_fct_listens_track_id"),
        ("delete from marts.dim_date where date_key = 20240501", "relationships_fct_listens_date_key"),
        ("update marts.fct_listens set ms_played = -1", "fct_listens_ms_played_is_in_range"),
        ("update marts.fct_listens set listened_at = now() + interval '1 hour'", "fct_listens_listened_at_is_in_range"),
        ("update marts.fct_ratings set rating = 5.5", "fct_ratings_rating_is_in_range"),
        (
            "insert into marts.fct_interactions select * from marts.fct_interactions limit 1",
            "unique_combination_fct_interactions",
        ),
        (
            "update marts.fct_interactions set plays = 0, views = 0, clicks = 0",
            "every_interaction_is_a_play_view_or_click",
        ),
        (
            "insert into marts.fct_recommendations select * from marts.fct_recommendations limit 1",
            "unique_combination_fct_recommendations",
        ),
        ("update marts.mart_recap_facts set listens = listens + 1", "recaps_and_listens_have_the_same_total"),
        ("update marts.mart_charts_weekly set listens = listens + 1", "charts_and_listens_have_the_same_total"),
        ("update marts.mart_charts_weekly set rank = 1", "every_place_of_a_chart_is_taken_once"),
        (
            (
                "insert into marts.dim_artist_history select artist_id, artist_name, genre, country, popularity_band, "
                "in_catalog, '1980-01-01', null, true from marts.dim_artist_history limit 1"
            ),
            "no_gap_in_history_dim_artist_history",
        ),
        ("update marts.fct_listens set origin = 'other'", "accepted_values_fct_listens_origin"),
        ("delete from marts.dim_time where minute_of_hour = 0", "relationships_fct_listens_local_time_key"),
        (
            "insert into marts.bridge_track_artist select * from marts.bridge_track_artist limit 1",
            "unique_combination_bridge_track_artist",
        ),
    ],
)
def test_damage_fails_the_test_that_names_it(marts: Connection, run_dbt: Dbt, damage: str, named: str) -> None:
    table = damage.split("marts.")[1].split()[0]
    marts.execute(f"create table public.backup as table marts.{table}")
    try:
        marts.execute(damage)
        statuses = run_dbt("test", "--select", f"{named}*")
    finally:
        marts.execute(f"truncate marts.{table}")
        marts.execute(f"insert into marts.{table} select * from public.backup")
        marts.execute("drop table public.backup")
    assert set(statuses.values()) == {"fail"}
