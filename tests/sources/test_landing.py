"""Facts merge into their tables: the newest wins by column, a repetition changes nothing, an error leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from music_assets.sources.facts import (
    AlbumRow,
    ArtistRow,
    AudioFeaturesRow,
    Fact,
    SimilarArtistRow,
    TagRow,
    TrackArtistRow,
    TrackRow,
    land,
)
from music_assets.sources.landing import ARTISTS, TAGS, upsert_batches, upsert_rows

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Conn = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def conn(database_url: str) -> Iterator[Conn]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("truncate source.artists, source.tags")
        yield connection


def artist(name: str = "A", **facts: Any) -> ArtistRow:
    return ArtistRow("lastfm", "artist:a", name, "live", facts.pop("at", NOW), **facts)


def test_the_newest_wins_and_what_it_leaves_out_stays(conn: Conn) -> None:
    assert land(conn, [artist("First", mbid="m", listeners=1)]) == {"artists": 1}
    land(conn, [artist("Second", listeners=2, at=NOW + timedelta(days=1))])
    rows = conn.execute("select name, mbid, listeners, fetched_at from source.artists").fetchall()
    assert rows == [("Second", "m", 2, NOW + timedelta(days=1))]


def test_what_is_named_in_passing_fills_and_changes_nothing(conn: Conn) -> None:
    land(conn, [artist("First", listeners=1)])
    land(conn, [artist("Second", listeners=2, mbid="m", at=NOW + timedelta(days=1))], fill=True)
    rows = conn.execute("select name, mbid, listeners, fetched_at from source.artists").fetchall()
    assert rows == [("First", "m", 1, NOW)]


def test_the_last_of_one_key_in_one_call_counts_and_again_changes_nothing(conn: Conn) -> None:
    facts = [artist(f"Name {number}", playcount=number) for number in range(50)]
    for _ in range(2):
        assert land(conn, facts) == {"artists": 1}
        assert conn.execute("select name, playcount from source.artists").fetchall() == [("Name 49", 49)]


def test_every_kind_of_fact_has_the_columns_of_its_table(conn: Conn) -> None:
    facts: list[Fact] = [
        artist(), AlbumRow("s", "album:a", "A", "live", NOW), TrackRow("s", "track:a", "T", "live", NOW),
        TrackArtistRow("s", "track:a", 0, "artist:a", NOW), TagRow("s", "artist:a", "x\t\\N\n", None, NOW),
        SimilarArtistRow("s", "artist:a", "artist:b", 0.5, NOW),
        AudioFeaturesRow("s", "track:a", "live", NOW, *[0.5] * 9, 1, 0, 4),
    ]  # fmt: skip
    assert set(land(conn, facts).values()) == {1}
    assert conn.execute("select tag from source.tags").fetchall() == [("x\t\\N\n",)]


def test_one_bad_row_leaves_none_of_any_table(conn: Conn) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation):
        land(conn, [artist(), SimilarArtistRow("s", "a", "b", None, NOW)])  # type: ignore[arg-type]
    assert conn.execute("select count(*) from source.artists").fetchone() == (0,)


def test_arrow_batches_merge_as_rows_do(conn: Conn) -> None:
    columns = ["source", "item_id", "tag", "weight", "fetched_at"]
    batch = pa.RecordBatch.from_pylist(
        [dict(zip(columns, ("s", "artist:a", "quiet", weight, NOW), strict=True)) for weight in (1.0, 2.0)]
    )
    assert upsert_batches(conn, TAGS, columns, [batch, batch.slice(0, 1)]) == 1
    assert conn.execute("select weight from source.tags").fetchall() == [(1.0,)]


def test_rows_join_the_transaction_that_is_open(conn: Conn) -> None:
    columns = ["source", "item_id", "name", "origin", "fetched_at"]
    with conn.transaction(force_rollback=True):
        upsert_rows(conn, ARTISTS, columns, [("s", "i", "n", "live", NOW)])
        assert conn.execute("select count(*) from source.artists").fetchone() == (1,)
    assert conn.execute("select count(*) from source.artists").fetchone() == (0,)
