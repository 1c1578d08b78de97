"""Every recorded answer parses, in every shape: empty, one, many, error. The recordings stay outside the project."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from music_assets.sources.answers import lastfm, listenbrainz, spotify
from music_assets.sources.answers.reading import read, read_object
from music_assets.sources.http import Outcome, ShapeError

LASTFM: Final[dict[str, Any]] = {
    "UserGetRecentTracks": lastfm.recent_tracks,
    "UserGetTopArtists": lastfm.top_artists,
    "GetTopArtists": lastfm.top_artists,
    "ArtistGetInfo": lastfm.artist_info,
    "ArtistGetTopTags": lastfm.artist_tags,
    "AlbumGetTopTags": lastfm.artist_tags,
}
"""Parsers of the kinds that are collected, by the beginning of the recording's name."""

LISTS: Final = {
    "shouts": "shout", "tags": "tag", "toptags": "tag", "topalbums": "album", "topartists": "artist",
    "similartags": "tag", "artists": "artist", "tracks": "track", "scrobbles": "scrobble", "lovedtracks": "track",
    "recenttracks": "track", "recommendations": "artist", "weeklyalbumchart": "album", "weeklyartistchart": "artist",
    "weeklytrackchart": "track", "weeklychartlist": "chart",
}  # fmt: skip
"""Where the elements lie, by the root of the answer: the general reading of lists must take all of them."""

SINGLE: Final = {"album", "artist", "tag", "results"}
"""Roots of answers that are one item, or a search."""

SPOTIFY: Final[dict[str, Any]] = {
    "album": partial(spotify.parse, shape=spotify.Album),
    "albums": partial(spotify.parse_several, name="albums", shape=spotify.Album),
    "album-tracks": partial(spotify.parse, shape=spotify.Page[spotify.Track]),
    "artist": partial(spotify.parse, shape=spotify.Artist),
    "artists": partial(spotify.parse_several, name="artists", shape=spotify.Artist),
    "artist-albums": partial(spotify.parse, shape=spotify.Page[spotify.Album]),
    "artist-related-artists": partial(spotify.parse_several, name="artists", shape=spotify.Artist),
    "artist-top-tracks": partial(spotify.parse_several, name="tracks", shape=spotify.Track),
    "audio-features": partial(spotify.parse, shape=spotify.AudioFeatures),
    "multiple-audio-features": partial(spotify.parse_several, name="audio_features", shape=spotify.AudioFeatures),
    "recently-played": partial(spotify.parse, shape=spotify.RecentlyPlayed),
    "recommendations": partial(spotify.parse_several, name="tracks", shape=spotify.Track),
    "search-album": partial(spotify.parse_found, name="albums", shape=spotify.Album),
    "new-releases": partial(spotify.parse_found, name="albums", shape=spotify.Album),
    "user-followed-artists": partial(spotify.parse_found, name="artists", shape=spotify.Artist),
    "top-artists-and-tracks": partial(spotify.parse, shape=spotify.Page[spotify.Artist]),
    "track": partial(spotify.parse, shape=spotify.Track),
    "tracks": partial(spotify.parse_several, name="tracks", shape=spotify.Track),
    "user": partial(spotify.parse, shape=spotify.User),
    "user-albums": partial(spotify.parse, shape=spotify.Page[spotify.SavedAlbum]),
    "user-tracks": partial(spotify.parse, shape=spotify.Page[spotify.Saved]),
}

NOT_COLLECTED: Final = {
    "audio-analysis", "audiobook", "audiobook-chapters", "audiobooks", "available-genre-seeds", "categories-list",
    "category", "category-playlists", "chapter", "chapters", "episode", "episodes", "featured-playlists", "markets",
    "my-playlists", "my-queue", "playlist-cover-image", "show", "show-episodes", "shows", "snapshot-id",
    "user-albums-contains", "user-audiobooks", "user-audiobooks-contains", "user-current-playback-info",
    "user-current-track", "user-devices", "user-episodes", "user-episodes-contains", "user-follows",
    "user-follows-playlist", "user-library-contains", "user-playlist", "user-playlist-items", "user-playlist-tracks",
    "user-playlists", "user-shows", "user-shows-contains", "user-tracks-contains", "users-follows-playlist",
}  # fmt: skip
"""Kinds of no use here: spoken word, playlists, players, yes and no."""


@pytest.fixture(scope="session")
def lastfm_files(music_data: Path) -> list[Path]:
    return sorted((music_data / "api_responses" / "lastfm_inflatable_json").glob("*.json"))


@pytest.fixture(scope="session")
def spotify_files(music_data: Path) -> list[Path]:
    return sorted((music_data / "api_responses" / "spotify_jwilsson_json").glob("*.json"))


def outcome(parse: Any, body: bytes) -> Any:
    said = lastfm.judge(200, body)
    return said[0] if said is not None else parse(body)


@pytest.mark.parametrize("kind", LASTFM)
def test_recorded_answers_of_a_lastfm_kind_are_typed(kind: str, lastfm_files: list[Path]) -> None:
    files = [file for file in lastfm_files if file.name.startswith(kind)]
    assert files
    for file in files:
        found = outcome(LASTFM[kind], file.read_bytes())
        if isinstance(found, lastfm.Listing):
            many = len(found.items)
            expected = {"Empty": many == 0, "Single": many == 1, "Extended": many == 1, "Multiple": many > 1}
            shape = file.stem.removeprefix(kind)
            assert expected.get(shape, True), f"{file.name}: {many} items"
            assert all(each.name if hasattr(each, "name") else each.title and each.artist for each in found.items)
        elif file.stem.endswith(("Error", "Missing")):
            assert found is Outcome.REFUSED, file.name
        else:
            assert found.name
            assert found.listeners > 0


def test_every_other_recorded_answer_of_lastfm_reads_as_a_list_an_item_or_an_error(lastfm_files: list[Path]) -> None:
    assert len(lastfm_files) > 70
    for file in lastfm_files:
        body = file.read_bytes()
        if lastfm.judge(200, body) is not None:
            assert "Error" in file.name or "Missing" in file.name
            continue
        [root] = read_object(body)
        if root in SINGLE:
            continue
        page = lastfm.listing(body, root, LISTS[root], lambda each: each)
        many = len(page.items)
        assert many == 0 if "Empty" in file.name else many > 0 or "Error" in file.name, file.name
        assert many == 1 if "Single" in file.name else True, file.name


def test_every_recorded_answer_of_spotify_is_typed_or_listed_as_not_collected(spotify_files: list[Path]) -> None:
    assert {file.stem for file in spotify_files} == SPOTIFY.keys() | NOT_COLLECTED
    for file in spotify_files:
        body = file.read_bytes()
        assert spotify.judge(200, body) is None
        if file.stem in SPOTIFY:
            assert SPOTIFY[file.stem](body), file.name
        else:
            read(body)


def test_a_recorded_play_of_spotify_has_what_a_play_needs(spotify_files: list[Path]) -> None:
    [file] = [file for file in spotify_files if file.stem == "recently-played"]
    found = spotify.parse(file.read_bytes(), spotify.RecentlyPlayed)
    assert [play.played_at for play in found.items] == [
        datetime(2017, 3, 5, 10, 7, 38, 946_000, UTC), datetime(2017, 3, 5, 9, 46, 23, 542_000, UTC),
    ]  # fmt: skip
    assert all(len(play.track.id or "") == 22 and play.track.artists[0].name for play in found.items)


def test_a_track_under_way_is_no_play() -> None:
    body = b'{"recenttracks": {"track": {"artist": {"#text": "A"}, "name": "T", "@attr": {"nowplaying": "true"}}}}'
    [found] = lastfm.recent_tracks(body).items
    assert found.played_at is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [(29, Outcome.LIMITED), (11, Outcome.UNAVAILABLE), (16, Outcome.UNAVAILABLE), (6, Outcome.REFUSED)],
)
def test_error_codes_of_lastfm_tell_what_may_pass(code: int, expected: Outcome) -> None:
    said = lastfm.judge(200, b'{"error": %d, "message": "why"}' % code)
    assert said is not None
    assert said[0] is expected
    assert "why" in said[1]


@pytest.mark.parametrize(
    ("parse", "body"),
    [
        (lastfm.recent_tracks, b'{"recenttracks": {"track": [{"name": "T"}]}}'),
        (lastfm.recent_tracks, b'{"recenttracks": {"track": [{"name": "T", "artist": "A"}]}}'),
        (lastfm.artist_info, b'{"artist": {"name": "A", "stats": {"listeners": "many"}}}'),
        (lastfm.artist_info, b"{}"),
        (lastfm.artist_info, b"<html>"),
        (listenbrainz.listens, b'{"payload": {"listens": [{}], "count": 1}}'),
        (SPOTIFY["tracks"], b'{"tracks": {"items": []}}'),
        (SPOTIFY["track"], b"[]"),
    ],
)
def test_another_shape_is_named_and_never_guessed(parse: Any, body: bytes) -> None:
    with pytest.raises((ShapeError, ValueError)):
        parse(body)


def test_spotify_and_listenbrainz_errors_carry_the_sources_words() -> None:
    assert spotify.judge(403, b'{"error": {"status": 403, "message": "no scope"}}') == (
        Outcome.REFUSED, "HTTP 403, no scope",
    )  # fmt: skip
    assert spotify.judge(400, b'{"error": "invalid_grant", "error_description": "revoked"}') == (
        Outcome.REFUSED, "HTTP 400, invalid_grant: revoked",
    )  # fmt: skip
    assert spotify.judge(503, b"<html>") == (Outcome.UNAVAILABLE, "HTTP 503, <html>")
    assert listenbrainz.judge(404, b'{"code": 404, "error": "no such user"}') == (
        Outcome.REFUSED, "HTTP 404, no such user",
    )  # fmt: skip
