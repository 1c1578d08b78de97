"""The columns of the marts that the recommender reads, as the warehouse builds them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    from music_assets.recommender.interactions import Interactions


def create_marts(connection: psycopg.Connection[Any]) -> None:
    """Create empty marts where there are none."""
    connection.execute(
        "create schema if not exists marts;"
        "create table marts.fct_listens (user_id text, item_id text, listened_at timestamptz, context text);"
        "create table marts.fct_recommendations (recommendation_id text, user_id text, item_id text, position integer,"
        " shown_at timestamptz, listened_within_day boolean);"
        "create table marts.dim_artist (artist_id text, artist_name text, genre text, in_catalog boolean);"
        "create table marts.dim_album"
        " (album_id text, album_name text, artist_id text, release_date text, in_catalog boolean);"
        "create table marts.dim_track"
        " (track_id text, track_name text, artist_id text, album_id text, genre text, in_catalog boolean);"
        "create table marts.bridge_track_artist (track_id text, artist_id text, position integer);"
        "create table marts.bridge_artist_tag (artist_id text, tag text, weight double precision);"
        "create table marts.bridge_track_tag (track_id text, tag text, weight double precision);"
        "create schema if not exists staging; create schema if not exists intermediate;"
        "create table if not exists staging.stg_source__similar_artists"
        " (source text, artist_id text, other_id text, score double precision);"
        "create table if not exists staging.stg_source__audio_features"
        " (source text, track_id text, acousticness float8, danceability float8, energy float8,"
        " instrumentalness float8, liveness float8, loudness float8, speechiness float8, tempo float8, valence float8);"
        "create table if not exists intermediate.int_items_canonical (item_id text, canonical_id text)"
    )


def plant(connection: psycopg.Connection[Any], world: Interactions) -> None:
    """Put exactly these listens into `marts.fct_listens`."""
    connection.execute("truncate marts.fct_listens")
    with connection.cursor().copy("copy marts.fct_listens (user_id, item_id, listened_at) from stdin") as copy:
        for user, item, time in zip(world.user, world.item, world.time, strict=True):
            moment = datetime.fromtimestamp(int(time) / 1e6, UTC)
            copy.write_row((world.users[user], world.items[item], moment))
