"""Tables of tracks: every row ends in a table or among the rejected, with the damage that the real files have."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import psycopg
import pytest

from music_assets.settings import Settings
from music_assets.sources import imports, kaggle
from music_assets.sources.import_table import Import
from music_assets.sources.kaggle_row import FEATURES as MEASURED
from music_assets.sources.kaggle_row import Track
from music_assets.sources.plays import Refusal
from streaming.errors import ConfigurationError
from tests.conftest import MakeSettings
from tests.sources.tracks import FEATURES, GENRES, SONGS, feature_row, features


@pytest.fixture
def settings(make_settings: MakeSettings, database_url: str) -> Settings:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "truncate source.imports, source.rejected, source.tracks, source.artists, source.albums, source.tags,"
            " source.track_artists, source.audio_features"
        )
    return make_settings(database_url=database_url)


def write(path: Path, header: list[str], *given: dict[str, Any]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(given)
    return path


def rows(path: Path) -> list[Track | Refusal]:
    return [found for _, found, _ in kaggle.read(path)]


def load(settings: Settings, path: Path) -> Import:
    record = imports.hand_in(settings, kaggle.KIND, path, user=None, zone="UTC")
    return imports.carry_out(settings, record, path, progress=lambda _: None)


def ask(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.database) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type]


def feature(track: Track | Refusal, name: str) -> float | None:
    assert isinstance(track, Track), track
    return track.features[MEASURED.index(name)]


@pytest.mark.parametrize(
    ("written", "read"),
    [("4-Apr", 4), ("3-Mar", 3), ("5-May", 5), ("1-Jan", 1), ("0-Apr", None), ("4/4", 4), ("4", 4), ("4.0", 4),
     ("", None)],
)  # fmt: skip
def test_time_signatures_that_a_spreadsheet_took_for_days(tmp_path: Path, written: str, read: int | None) -> None:
    path = write(tmp_path / "a.csv", FEATURES, feature_row(1, time_signature=written))
    assert feature(rows(path)[0], "time_signature") == read


@pytest.mark.parametrize(
    ("key", "read"), [("C", 0), ("C#", 1), ("Db", 1), ("B", 11), ("11", 11), ("0", 0), ("-1", None), ("", None)]
)
def test_keys_by_name_and_by_number(tmp_path: Path, key: str, read: int | None) -> None:
    path = write(tmp_path / "a.csv", FEATURES, feature_row(1, key=key))
    assert feature(rows(path)[0], "key") == read


@pytest.mark.parametrize(("mode", "read"), [("Major", 1), ("Minor", 0), ("1", 1), ("0", 0), ("", None)])
def test_modes(tmp_path: Path, mode: str, read: int | None) -> None:
    assert feature(rows(write(tmp_path / "a.csv", FEATURES, feature_row(1, mode=mode)))[0], "mode") == read


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [
        ("danceability", "1.7", "danceability"), ("loudness", "-99", "loudness"), ("tempo", "many", "tempo"),
        ("valence", "nan", "valence"), ("energy", "inf", "energy"), ("track_id", "", "track_id"),
        ("track_id", "1234", "track_id"), ("track_name", " ", "name"), ("track_name", "x" * 513, "name"),
        ("artist_name", "", "artists"), ("popularity", "101", "popularity"), ("popularity", "1.5", "popularity"),
        ("duration_ms", "-1", "duration_ms"), ("key", "H", "key"), ("key", "12", "key"), ("mode", "Dorian", "mode"),
        ("time_signature", "9-Sep", "time_signature"),
    ],
)  # fmt: skip
def test_a_value_that_is_none_rejects_its_row(tmp_path: Path, column: str, value: str, field: str) -> None:
    found = rows(write(tmp_path / "a.csv", FEATURES, feature_row(1, **{column: value}), feature_row(2)))
    assert isinstance(found[0], Refusal)
    assert found[0].field == field
    assert isinstance(found[1], Track)


GENRE_ROW = {
    "": "0", "track_id": "1" * 22, "artists": "First;Second;First", "album_name": "Album", "track_name": "Name",
    "popularity": "73", "duration_ms": "230666", "explicit": "False", "danceability": "0.676", "energy": "0.461",
    "key": "1", "loudness": "-6.746", "mode": "0", "speechiness": "0.143", "acousticness": "0.0322",
    "instrumentalness": "1.01e-06", "liveness": "0.358", "valence": "0.715", "tempo": "87.917", "time_signature": "4",
    "track_genre": "acoustic",
}  # fmt: skip


def test_the_table_by_genres_lands_with_every_artist(settings: Settings, tmp_path: Path) -> None:
    path = write(
        tmp_path / "dataset.csv", GENRES, GENRE_ROW, GENRE_ROW | {"track_genre": "soul", "popularity": "12"},
        GENRE_ROW | {"artists": ""}, GENRE_ROW | {"explicit": "maybe"},
        GENRE_ROW | {"track_id": "2" * 22, "album_name": ""},
    )  # fmt: skip
    done = load(settings, path)
    assert (done.status, done.position, done.accepted, done.rejected) == ("done", 5, 3, 2)
    tracks = ask(settings, "select name, popularity, explicit, duration_ms, origin from source.tracks")
    assert tracks == [("Name", 73, False, 230_666, "file")] * 2
    first = "track:spotify:" + "1" * 22
    assert ask(settings, f"select tag from source.tags where item_id = '{first}' order by 1") == [
        ("acoustic",),
        ("soul",),
    ]
    assert ask(
        settings,
        "select a.name from source.track_artists t join source.artists a on a.item_id = t.artist_id"
        f" where track_id = '{first}' order by t.position",
    ) == [("First",), ("Second",)]
    assert ask(settings, "select name, artist_name from source.albums") == [("Album", "First")]
    measured = "select key, mode, time_signature, tempo from source.audio_features"
    assert ask(settings, f"{measured} where item_id = '{first}'") == [(1, 0, 4, 87.917)]
    assert ask(settings, "select position, field from source.rejected order by 1") == [(2, "artists"), (3, "explicit")]


def test_the_highest_popularity_stays_across_batches_and_files(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle, "BATCH", 1)
    values = ("5", "80", "", "10")
    load(settings, write(tmp_path / "a.csv", FEATURES, *(feature_row(1, popularity=value) for value in values)))
    load(settings, write(tmp_path / "b.csv", FEATURES, feature_row(1, popularity="7", genre="Other")))
    assert ask(settings, "select popularity from source.tracks") == [(80,)]
    assert ask(settings, "select count(*) from source.tags") == [(2,)]


def test_playlists_bring_incomplete_dates_and_albums_of_spotify(settings: Settings, tmp_path: Path) -> None:
    common = {
        "track_name": "Name", "track_artist": "Artist; with a semicolon", "track_popularity": "1", "energy": "0.5",
        "track_album_name": "Album", "danceability": "0.5", "tempo": "0.0", "valence": "0.5", "playlist_genre": "pop",
        "playlist_subgenre": "dance pop",
    }  # fmt: skip
    given = [
        common | {"track_id": f"{n:022}", "track_album_id": f"{n:022}", "track_album_release_date": date}
        for n, date in enumerate(("2012", "2012-05", "2012-05-31", "31.05.2012", "", "2012-13"))
    ]
    assert load(settings, write(tmp_path / "spotify_songs.csv", SONGS, *given)).rejected == 2
    assert ask(settings, "select item_id, release_date from source.albums order by 1") == [
        (f"album:spotify:{n:022}", date) for n, date in ((0, "2012"), (1, "2012-05"), (2, "2012-05-31"), (4, None))
    ]  # fmt: skip
    assert ask(settings, "select name from source.artists") == [("Artist; with a semicolon",)]
    assert ask(settings, "select distinct tempo from source.audio_features") == [(None,)]
    assert ask(settings, "select distinct tag from source.tags order by 1") == [("dance pop",), ("pop",)]


def test_all_damage_at_once_and_a_table_that_was_loaded_stays(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "SpotifyFeatures.csv"
    expected = features(path, 20_000)
    done = load(settings, path)
    assert (done.position, done.accepted, done.rejected) == (
        20_000,
        20_000 - expected.rejected.total(),
        expected.rejected.total(),
    )
    assert ask(settings, "select count(*) from source.tracks") == [(expected.tracks,)]
    assert dict(ask(settings, "select coalesce(field, ''), count(*) from source.rejected group by 1")) == dict(
        expected.rejected
    )
    assert load(settings, path) == done


def test_a_load_that_breaks_goes_on_where_it_was(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle, "BATCH", 500)
    path = tmp_path / "SpotifyFeatures.csv"
    expected = features(path, 4_000)
    record = imports.hand_in(settings, kaggle.KIND, path, user=None, zone="UTC")

    class StopError(Exception):
        pass

    def stop(row: Import) -> None:
        if row.position >= 1500:
            raise StopError

    with pytest.raises(StopError):
        imports.carry_out(settings, record, path, progress=stop)
    done = load(settings, path)
    assert (done.status, done.position, done.rejected) == ("done", 4_000, expected.rejected.total())
    assert ask(settings, "select count(*) from source.tracks") == [(expected.tracks,)]
    assert ask(settings, "select count(*) from source.rejected") == [(expected.rejected.total(),)]


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ConfigurationError, match="no table of tracks: no column for track_id"):
        rows(path)


def test_the_real_tables_land(settings: Settings, music_data: Path) -> None:
    done = load(settings, music_data / "spotify_tracks")
    assert done.position > 90_000
    assert done.accepted + done.rejected == done.position
    assert done.rejected < 100
    assert ask(settings, "select count(*) > 60000 from source.tracks") == [(True,)]
