"""Builds after the first one: whatever arrived in between, they leave what a build from nothing would."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from music_assets.warehouse import load_table
from music_assets.warehouse.reconcile_marts import queries
from streaming.lake import Lake
from streaming.storage import Storage
from streaming.tables import silver
from tests.warehouse.lakes import NOON, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dbt.conftest import Dbt

INCREMENTAL = (
    "intermediate.int_listens_deduplicated", "intermediate.int_items_mentioned",
    "intermediate.int_user_activity_unioned", "marts.dim_user", "marts.fct_listens", "marts.fct_interactions",
    "marts.fct_ratings", "marts.fct_recommendations", "marts.mart_artist_growth", "marts.mart_charts_weekly",
    "marts.mart_listener_artists", "marts.mart_listener_profile", "marts.mart_recap_facts",
    "marts.mart_recap_top_items", "marts.mart_recommendation_quality",
)  # fmt: skip
ONLY_NEW = ("--vars", "{every_row: false}", "--exclude-resource-type", "unit_test")


def rows(connection: psycopg.Connection[Any], table: str) -> list[str]:
    """Every row as text, but for the batch it was built with."""
    found = connection.execute(f"select (to_jsonb(t) - 'touched_at')::text from {table} as t order by 1").fetchall()
    return [row[0] for row in found]


def wrong(connection: psycopg.Connection[Any], since: datetime, damage: str) -> dict[str, list[str]]:
    """What a comparison of the newest builds says of damage, which is taken back."""
    with connection.transaction(force_rollback=True):
        connection.execute(damage)
        found = {name: connection.execute(query, {"named": 9, "since": since}).fetchall()
                 for name, query in queries(since).items()}  # fmt: skip
    return {name: [each for _, ids in days for each in ids] for name, days in found.items() if days}


@pytest.mark.slow
def test_what_arrives_between_builds_ends_as_in_a_build_from_nothing(
    warehouse: str, built: dict[str, str], run_dbt: Dbt, tmp_path: Path
) -> None:
    second, day = timedelta(seconds=1), timedelta(days=1)
    lake = Lake(Storage.local(tmp_path / "more"))
    other = {"kafka_topic_id": "topic-b"}
    table = write(
        lake, "events_listens",
        {**other, "event_id": "late", "timestamp": NOON - 40 * day, "item_id": "track:2", "user_id": "u2"},
        {**other, "event_id": "merges", "timestamp": NOON + 30 * second, "source": "lastfm"},
        {**other, "event_id": "first", "timestamp": NOON + 11 * day, "item_id": "track:new", "user_id": "u4"},
        {**other, "event_id": "linked", "timestamp": NOON + 10 * day + 20 * second, "item_id": "track:alias",
         "user_id": "u2", "source": "lastfm"},
        {**other, "event_id": "followed", "timestamp": NOON + 1.5 * day, "item_id": "track:5", "user_id": "u2"},
    )  # fmt: skip
    events = [
        table,
        write(lake, "events_clicks", {**other, "event_id": "c9", "user_id": "u2", "item_id": "artist:1",
                                      "timestamp": NOON + 9 * day, "recommendation_id": "answer"}),
        write(lake, "events_ratings", {**other, "event_id": "newer", "rating": 2.0, "timestamp": NOON + 2 * day}),
        write(lake, "recommendation_events", {
            **other, "event_id": "second answer", "user_id": "u5", "timestamp": NOON + 3 * day,
            "item_ids": ["track:77", "track:alias"], "sources": ["als", "als"], "reasons": ["a", "b"]}),
    ]  # fmt: skip
    songs = write(lake, "catalog_songs", {"item_id": "track:99", "name": "Known now", "artist_id": "artist:9"})
    # A record again touches the facts of an album, and none of its plays.
    albums = write(lake, "catalog_albums", {**other, "item_id": "album:1", "name": "First", "artist_id": "artist:1"})
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute("delete from ops.load_watermark")
        for each in (*events, songs, albums):
            load_table(connection, lake, silver(each.name))
        built_at = connection.execute("select max(touched_at) from intermediate.int_pairs_touched").fetchall()[0][0]
        connection.execute(
            "insert into source.item_links values ('track:alias', 'track:99', 'isrc', 1, 'test', 'active'); "
            "insert into source.listener_zones values ('u1', 'Pacific/Kiritimati')"
        )

        second_build = run_dbt("build", *ONLY_NEW)
        assert set(second_build.values()) <= {"success", "pass", "no-op"}, second_build
        plays = connection.execute(
            "select event_ids, item_id from intermediate.int_listens_deduplicated "
            "where event_ids && array['merges', 'linked'] order by listened_at"
        ).fetchall()
        assert plays == [(["merges", "live", "export"], "track:1"), (["linked", "unknown"], "track:99")]
        assert connection.execute("select artist_id from marts.fct_listens where item_id = 'track:99'").fetchone() == (
            "artist:9",
        )

        assert connection.execute(
            "select position, is_clicked, listened_within_day from marts.fct_recommendations "
            "where recommendation_id = 'answer' order by position"
        ).fetchall() == [(1, False, True), (2, True, False), (3, False, False), (4, False, True)]

        assert wrong(connection, built_at, "select 1") == {}
        for damage, name, event in (
            ("delete from intermediate.int_listens_deduplicated where event_id = 'late'",
             "intermediate.int_listens_deduplicated", "late"),
            ("update marts.fct_listens set ms_played = 4 where event_id = 'late'", "marts.fct_listens", "late"),
            ("delete from marts.fct_ratings where event_id = 'newer'", "marts.fct_ratings", "newer"),
            ("delete from marts.fct_recommendations where recommendation_id = 'second answer'",
             "marts.fct_recommendations", "second answer"),
            ("update marts.fct_interactions set clicks = 2 where user_id = 'u2' and item_id = 'artist:1'",
             "marts.fct_interactions", "u2 artist:1"),
        ):  # fmt: skip
            assert event in wrong(connection, built_at, damage).get(name, []), damage

        connection.execute("delete from source.item_links")
        connection.execute("insert into source.item_links values ('artist:9', 'artist:1', 'name', 1, 'test', 'active')")
        connection.execute("delete from silver.events_listens where user_id = 'u4'")
        third_build = run_dbt("build", *ONLY_NEW)
        assert set(third_build.values()) <= {"success", "pass", "no-op"}, third_build
        assert connection.execute("select count(*) from marts.fct_listens where user_id = 'u4'").fetchone() == (0,)

        stepwise = {name: rows(connection, name) for name in INCREMENTAL}
        run_dbt("build", "--full-refresh", "--exclude-resource-type", "unit_test")
        from_nothing = {name: rows(connection, name) for name in INCREMENTAL}
    until_the_night = {  # they know of an erased listener, or count them
        "intermediate.int_user_activity_unioned", "intermediate.int_items_mentioned", "marts.mart_charts_weekly",
        "marts.mart_artist_growth",
    }  # fmt: skip
    for name in INCREMENTAL:
        if name not in until_the_night:
            assert stepwise[name] == from_nothing[name], name
    assert set(stepwise["marts.mart_charts_weekly"]) >= set(from_nothing["marts.mart_charts_weekly"])
