"""The collectors of facts against services that answer, refuse and are away: rows, their origin, and what is noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from music_assets.sources.books import Books
from music_assets.sources.enrich import Gathered, lastfm_facts, spotify_facts
from music_assets.sources.http import Outcome
from streaming.events import ArtistRecord, SongRecord
from tests.sources.services import World, serving
from tests.sources.test_collectors import QUICK, keyed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streaming.events import CatalogRecord
    from tests.conftest import MakeSettings

ARTIST: Final = {"id": "A" * 22, "name": "Real Artist"}
TRACKS: Final = [
    {"id": f"{number:022d}", "name": f"Track {number}", "artists": [ARTIST], "popularity": number, "duration_ms": 1000,
     "album": {"id": "B" * 22, "name": "Album", "artists": [ARTIST], "release_date": "2020"}}
    for number in range(3)
]  # fmt: skip
FEATURES: Final = dict.fromkeys(
    ("acousticness", "danceability", "energy", "instrumentalness", "liveness", "loudness", "speechiness", "tempo",
     "valence"), 0.5,
)  # fmt: skip


def page(items: list[Any]) -> tuple[int, Any]:
    return 200, {"items": items, "next": None, "total": len(items)}


def spotify_world(**others: Any) -> World:
    saved = [{"added_at": "2026-01-01T00:00:00Z", "track": track} for track in TRACKS]
    known = {
        "/v1/me/tracks": page(saved),
        "/v1/me/albums": page([]),
        "/v1/artists": (200, {"artists": [{**ARTIST, "popularity": 77, "genres": ["dream pop"]}]}),
        "/v1/audio-features": (200, {"audio_features": [
            {**FEATURES, "id": TRACKS[0]["id"], "key": 1, "mode": 1, "time_signature": 4}, None]}),
    }  # fmt: skip
    return World([], others={**known, **others})


def lastfm_world(**others: Any) -> World:
    known = {
        "user.gettopartists": (200, {"topartists": {"artist": {"name": "Real Artist"}, "@attr": {"page": "1"}}}),
        "artist.getinfo": (200, {"artist": {"name": "Real Artist", "stats": {"listeners": "5", "playcount": "9"}}}),
        "artist.gettoptags": (200, {"toptags": {"tag": {"name": "dream pop", "count": 100}}}),
        "artist.getsimilar": (200, {"similarartists": {"artist": [{"name": "Other", "match": "0.25"}]}}),
    }
    return World([], others={**known, **others})


@pytest.fixture
def books(database_url: str) -> Iterator[Books]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in ("artists", "albums", "tracks", "tags", "similar_artists", "audio_features", "fetches", "cursors"):
            connection.execute(f"truncate source.{table}")
        yield Books(connection)


@pytest.fixture
def run(make_settings: MakeSettings, books: Books, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Gathers once; returns what it says and the records it published."""
    for name in ("lastfm", "spotify"):
        monkeypatch.setattr(f"music_assets.sources.{name}._PER_SECOND", 10_000.0)

    def once(gather: Any, world: World) -> tuple[Gathered, list[CatalogRecord]]:
        published: list[CatalogRecord] = []

        def publish(records: Sequence[CatalogRecord]) -> None:
            published.extend(records)

        with serving(world) as url:
            return gather(keyed(make_settings, url), books, publish, **{**QUICK, "attempts": 2}), published

    return once


def rows(books: Books, question: str) -> list[Any]:
    return books.conn.execute(question).fetchall()


def test_lastfm_tells_figures_tags_and_likenesses_once_a_month(run: Callable[..., Any], books: Books) -> None:
    world = lastfm_world()
    gathered, published = run(lastfm_facts, world)
    assert rows(books, "select source, name, listeners, playcount, origin from source.artists") == [
        ("lastfm", "Real Artist", 5, 9, "live")
    ]
    assert rows(books, "select tag, weight from source.tags") == [("dream pop", 100)]
    assert rows(books, "select score from source.similar_artists") == [(0.25,)]
    assert [type(record) for record in published] == [ArtistRecord]
    assert gathered.providers == {"lastfm": 1}
    asked = len(world.requests)
    run(lastfm_facts, world)
    assert len(world.requests) == asked + 1, "only who is played most was asked again"


def test_spotify_stands_in_for_a_limited_lastfm_and_says_so(run: Callable[..., Any], books: Books) -> None:
    limit = (429, {"error": 29, "message": "slow down"})
    found = {"artists": {"items": [{**ARTIST, "popularity": 60}]}}
    world = lastfm_world(**{"artist.getinfo": limit, "/v1/search": (200, found)})
    gathered, _ = run(lastfm_facts, world)
    assert rows(books, "select source, name, popularity, origin from source.artists") == [
        ("spotify", "Real Artist", 60, "live")
    ]
    assert gathered.providers == {"spotify": 1}
    assert Outcome.LIMITED in {error.outcome for error in gathered.errors}
    [[outcome, note]] = rows(books, "select outcome, note from source.fetches where kind = 'artists'")
    assert outcome == "limited"
    assert "lastfm was away" in note


def test_an_earlier_answer_stands_in_when_both_are_away_and_then_an_invention(
    run: Callable[..., Any], books: Books
) -> None:
    run(lastfm_facts, lastfm_world())
    books.conn.execute("update source.artists set fetched_at = now() - interval '40 days'")
    away = {"artist.getinfo": (503, {}), "/v1/search": (503, {})}
    gathered, published = run(lastfm_facts, lastfm_world(**away))
    assert gathered.providers == {"cached": 1}
    assert rows(books, "select source, listeners, origin from source.artists") == [("lastfm", 5, "cached")]
    books.conn.execute("truncate source.artists")
    gathered, published = run(lastfm_facts, lastfm_world(**away))
    assert gathered.providers == {"synthetic": 1}
    assert rows(books, "select source, origin from source.artists") == [("synthetic", "synthetic")]
    assert published == []


def test_a_name_that_lastfm_does_not_know_is_not_asked_for_every_day(run: Callable[..., Any], books: Books) -> None:
    world = lastfm_world(**{"artist.getinfo": (404, {"error": 6, "message": "not found"})})
    run(lastfm_facts, world)
    assert rows(books, "select count(*) from source.artists") == [(0,)]
    asked = len(world.requests)
    run(lastfm_facts, world)
    assert len(world.requests) == asked + 1


def test_spotify_tells_the_library_with_popularity(run: Callable[..., Any], books: Books) -> None:
    gathered, published = run(spotify_facts, spotify_world())
    assert not gathered.errors
    assert rows(books, "select item_id, popularity, origin from source.tracks order by item_id") == [
        (f"track:spotify:{number:022d}", number, "live") for number in range(3)
    ]
    assert rows(books, "select name, popularity from source.artists") == [("Real Artist", 77)]
    assert rows(books, "select name, release_date, artist_name from source.albums") == [
        ("Album", "2020", "Real Artist")
    ]
    assert rows(books, "select item_id, tempo from source.audio_features") == [(f"track:spotify:{0:022d}", 0.5)]
    assert sum(isinstance(record, SongRecord) for record in published) == 3


@pytest.mark.parametrize("status", [403, 404])
def test_withdrawn_audio_features_are_a_note_and_no_error(status: int, run: Callable[..., Any], books: Books) -> None:
    gone = (status, {"error": {"status": status, "message": "gone"}})
    gathered, _ = run(spotify_facts, spotify_world(**{"/v1/audio-features": gone}))
    assert not gathered.errors
    assert any("audio features are withdrawn" in note for note in gathered.notes)
    [[outcome, note]] = rows(books, "select outcome, note from source.fetches where kind = 'audio_features'")
    assert outcome == "ok"
    assert f"HTTP {status}" in note
    assert rows(books, "select count(*) from source.tracks") == [(3,)]


def test_artists_are_asked_for_one_by_one_where_several_are_refused(run: Callable[..., Any], books: Books) -> None:
    refused = (403, {"error": {"status": 403, "message": "no"}})
    alone = (200, {**ARTIST, "popularity": 70})
    gathered, _ = run(spotify_facts, spotify_world(**{"/v1/artists": refused, f"/v1/artists/{'A' * 22}": alone}))
    assert not gathered.errors
    assert rows(books, "select popularity from source.artists") == [(70,)]
    assert any("one by one" in note for note in gathered.notes)


def test_lastfm_stands_in_for_spotifys_artists(run: Callable[..., Any], books: Books) -> None:
    others = {**lastfm_world().others, "/v1/artists": (503, {})}
    gathered, _ = run(spotify_facts, spotify_world(**others))
    assert gathered.providers["lastfm"] == 1
    assert rows(books, "select source, listeners from source.artists where listeners is not null") == [("lastfm", 5)]


def test_without_a_key_facts_are_recorded_and_say_so(books: Books, make_settings: MakeSettings) -> None:
    for gather in (lastfm_facts, spotify_facts):
        gathered = gather(make_settings(), books, lambda _: None)
        assert gathered.origin == "recorded"
        assert not gathered.errors
    assert rows(books, "select distinct origin from source.artists") == [("recorded",)]
    assert rows(books, "select count(*) from source.artists where source = 'lastfm' and listeners > 0") == [(3,)]
    assert rows(books, "select count(*) from source.tracks where source = 'spotify'") == [(4,)]
