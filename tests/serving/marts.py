"""Marts as dbt builds them: tables with the names and types of their contracts, and a few rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from psycopg import sql

if TYPE_CHECKING:
    import psycopg

MODELS = Path(__file__).parents[2] / "dbt_project" / "models" / "marts"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
BUILT = datetime(2024, 6, 1, tzinfo=UTC)


def write(connection: psycopg.Connection[Any], name: str, *rows: dict[str, Any]) -> None:
    """Make a mart anew with these rows; a column that a row does not name is null."""
    [model] = yaml.safe_load((MODELS / f"{name}.yml").read_text("utf-8"))["models"]
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column["name"]), sql.SQL(column["data_type"]))
        for column in model["columns"]
    )
    table = sql.Identifier("marts", name)
    connection.execute(sql.SQL("drop table if exists {}").format(table))
    connection.execute(sql.SQL("create table {} ({})").format(table, columns))
    for row in rows:
        names = sql.SQL(", ").join(map(sql.Identifier, row))
        values = sql.SQL(", ").join(sql.Placeholder() * len(row))
        connection.execute(sql.SQL("insert into {} ({}) values ({})").format(table, names, values), [*row.values()])


def listen(at: datetime, user_id: str, track: str | None, artist: str | None, **more: Any) -> dict[str, Any]:
    """A listen of somebody whose days are those of UTC."""
    monday = at.date() - timedelta(days=at.weekday())
    return {
        "user_id": user_id, "item_id": track or artist, "track_id": track, "artist_id": artist, "listened_at": at,
        "local_date": at.date(), "local_week": monday, "ms_played": 60_000, "is_skip": False, "origin": "organic",
        "touched_at": BUILT, **more,
    }  # fmt: skip


def chart(week: date, rank: int, item_id: str) -> dict[str, Any]:
    """A place of a chart."""
    return {
        "item_kind": item_id.partition(":")[0], "item_id": item_id, "week_start": week, "rank": rank,
        "listens": 10 - rank, "listeners": 1, "touched_at": BUILT,
    }  # fmt: skip


def plant(connection: psycopg.Connection[Any]) -> None:
    """Write what the tests know."""
    day = timedelta(days=1)
    write(
        connection, "fct_listens",
        listen(NOON, "u1", "track:1", "artist:1"),
        listen(NOON + day, "u2", None, "artist:7"),
        listen(NOON + day, "u2", "track:2", "artist:1", origin="recommended"),
        listen(NOON + day, "u2", None, "artist:1", ms_played=None),
        listen(NOON + 10 * day, "u2", "track:99", None, is_skip=True),
    )  # fmt: skip
    first, second = date(2024, 4, 29), date(2024, 5, 6)
    write(
        connection, "mart_charts_weekly",
        *(chart(first, rank, item_id) for rank, item_id in [(1, "track:1"), (2, "track:2"), (2, "track:3")]),
        chart(first, 1, "artist:1"), chart(second, 1, "track:99"),
    )  # fmt: skip
    write(
        connection, "dim_track",
        {"track_id": "track:1", "track_name": "Song", "artist_id": "artist:1", "album_id": "album:1"},
        {"track_id": "track:2", "track_name": "Other", "artist_id": "artist:1"}, {"track_id": "track:99"},
    )  # fmt: skip
    write(connection, "dim_artist", {"artist_id": "artist:1", "artist_name": "One", "country": "BE"})
    write(connection, "dim_album", {"album_id": "album:1", "album_name": "First", "artist_id": "artist:1"})
    connection.commit()
