"""Readers of export files: what the files of people say."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from music_assets.sources import radio
from music_assets.sources.exports import Options, Skipped
from music_assets.sources.plays import Play
from tests.sources import samples
from tests.sources.reading import archive, plays, put, read, rejected


def test_a_spotify_play_begins_before_its_end_and_has_spotifys_id(tmp_path: Path) -> None:
    (play,) = plays("spotify", put(tmp_path / "a.json", [samples.spotify(ts="2025-04-28T21:04:35Z", ms_played=1603)]))
    assert play == Play(
        user_id="me", played_at=datetime(2025, 4, 28, 21, 4, 33, 397_000, tzinfo=UTC), artist="Harbour Choir",
        title="Low Tide", album="Moorings", ms_played=1603, source="spotify", spotify_id="0" * 22,
    )  # fmt: skip


def test_spotify_reads_every_member_of_a_zip_and_skips_what_is_no_music(tmp_path: Path) -> None:
    episode = samples.spotify(
        master_metadata_track_name=None, spotify_track_uri=None, spotify_episode_uri="spotify:episode:x"
    )
    book = samples.spotify(master_metadata_track_name=None, spotify_track_uri=None, audiobook_uri="spotify:show:y")
    local = samples.spotify(spotify_track_uri="spotify:local:a:b")
    path = archive(
        tmp_path / "my.zip",
        {
            "Spotify Extended Streaming History/Streaming_History_Audio_2023_1.json": json.dumps(
                [samples.spotify(master_metadata_track_name="second"), episode]
            ).encode(),
            "Spotify Extended Streaming History/Streaming_History_Audio_2023_0.json": json.dumps(
                [samples.spotify(master_metadata_track_name="first"), book]
            ).encode(),
            "MyData/endsong_0.json": json.dumps([local]).encode(),
            "Spotify Extended Streaming History/ReadMe.pdf": b"%PDF",
            "Spotify Extended Streaming History/Streaming_History_Video_2023.json": b"[]",
        },
    )
    found = read("spotify", path)
    assert [play.title for play in found if isinstance(play, Play)] == ["Low Tide", "first", "second"]
    assert found[0].spotify_id is None
    assert found.count(Skipped("podcast or audiobook")) == 2


def test_the_short_history_of_spotify_has_minutes(tmp_path: Path) -> None:
    rows = [
        {"endTime": "2023-01-05 10:11", "artistName": "A", "trackName": "T", "msPlayed": 60_000},
        {"endTime": "2023-01-05 10:12", "podcastName": "P", "episodeName": "E", "msPlayed": 1},
        {"endTime": "yesterday", "artistName": "A", "trackName": "T", "msPlayed": 60_000},
    ]
    found = read("spotify", put(tmp_path / "StreamingHistory0.json", rows))
    assert found[0].played_at == datetime(2023, 1, 5, 10, 10, tzinfo=UTC)
    assert isinstance(found[1], Skipped)
    assert found[2].field == "endTime"


def test_what_spotify_tells_about_place_and_device_is_not_kept_with_a_rejected_record(tmp_path: Path) -> None:
    row = samples.spotify(ms_played="long", ip_addr="203.0.113.9", username="somebody")
    (found,) = rejected("spotify", put(tmp_path / "a.json", [row]))
    assert found.field == "ms_played"
    assert "203.0.113.9" not in found.raw
    assert "somebody" not in found.raw
    assert "Low Tide" in found.raw


PAGES = [
    {"track": [samples.lastfm(name="one"), samples.lastfm(name="now", date=None, **{"@attr": {"nowplaying": "true"}})]},
    {"track": [samples.lastfm(name="two")], "@attr": {"page": "2", "totalPages": "2"}},
]


@pytest.mark.parametrize(
    "document",
    [PAGES, [{"recenttracks": page} for page in PAGES], [track for page in PAGES for track in page["track"]]],
    ids=["pages", "answers", "tracks alone"],
)
def test_lastfm_pages_in_every_form(tmp_path: Path, document: Any) -> None:
    for name, indent in (("dense.json", None), ("wide.json", 2)):
        found = read("lastfm", put(tmp_path / name, json.dumps(document, indent=indent)))
        assert [each.title if isinstance(each, Play) else each for each in found] == [
            "one", Skipped("playing at that moment"), "two",
        ]  # fmt: skip
        assert (found[0].artist, found[0].album) == ("Harbour Choir", None)
        assert found[0].played_at == datetime(2025, 6, 13, 0, 55, tzinfo=UTC)


def test_one_answer_of_lastfm_with_one_track(tmp_path: Path) -> None:
    found = plays("lastfm", put(tmp_path / "one.json", {"recenttracks": {"track": samples.lastfm(name="only")}}))
    assert [play.title for play in found] == ["only"]


def test_lastfm_csv_with_a_header(tmp_path: Path) -> None:
    text = (
        "\ufeffuts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
        '1749776100,"13 Jun 2025, 00:55",Harbour Choir,,Moorings,,"Low, Tide",5b11f4ce-a62d-471e-81fc-a69a8278c7da\n'
        ",,Harbour Choir,,,,Low Tide,\n"
        "soon,,Harbour Choir,,,,Low Tide,\n"
        "1749776100,too,few\n"
    )
    found = read("lastfm", put(tmp_path / "me.csv", text))
    assert (found[0].title, found[0].album, found[0].mbid[:4]) == ("Low, Tide", "Moorings", "5b11")
    assert isinstance(found[1], Skipped)
    assert [each.field for each in found[2:]] == ["uts", None]


def test_lastfm_csv_without_a_header_reads_times_in_the_zone(tmp_path: Path) -> None:
    path = put(tmp_path / "me.csv", 'A,B,C,"31 Dec 2020 13:45"\nA,,D,\nA,,D,31 Feb 2020 10:00\n')
    found = read("lastfm", path, Options(user="me", zone=ZoneInfo("America/New_York")))
    assert (found[0].artist, found[0].album, found[0].title) == ("A", "B", "C")
    assert found[0].played_at == datetime(2020, 12, 31, 18, 45, tzinfo=UTC)
    assert isinstance(found[1], Skipped)
    assert found[2].field == "time"


def test_listenbrainz_lines_arrays_and_archives_are_the_same(tmp_path: Path) -> None:
    listens = [
        samples.listen(additional_info={
            "duration_ms": 200_000, "duration_played": 12.5, "recording_mbid": "5B11f4ce-a62d-471e-81fc-a69a8278c7da",
            "spotify_id": "https://open.spotify.com/track/3aJ2aJz5xL03hpaqdPS7Ah",
        }),
        samples.listen(additional_info={"duration_ms": "long", "duration": "61", "spotify_id": 7}),
    ]  # fmt: skip
    text = "\n\n".join(json.dumps(each) for each in listens)
    first = plays("listenbrainz", put(tmp_path / "me.jsonl", text))
    assert plays("listenbrainz", put(tmp_path / "me.json", listens)) == first
    members = {"user.json": b'{"user_id": 1}', "listens/2023/1.jsonl": text.encode(), "feedback.jsonl": b"{}"}
    assert plays("listenbrainz", archive(tmp_path / "me.zip", members)) == first
    assert (first[0].ms_played, first[0].duration_ms) == (12_500, 200_000)
    assert (first[0].spotify_id, first[0].mbid) == ("3aJ2aJz5xL03hpaqdPS7Ah", "5b11f4ce-a62d-471e-81fc-a69a8278c7da")
    assert (first[1].duration_ms, first[1].spotify_id, first[1].mbid) == (61_000, None, None)


def test_a_broken_line_of_listenbrainz_costs_that_line(tmp_path: Path) -> None:
    good = json.dumps(samples.listen())
    lines = [good, good[:40], '{"a":' * 50_000, good.replace("1749776100", "null"), "x" * (2 << 20), good]
    found = read("listenbrainz", put(tmp_path / "me.jsonl", "\n".join(lines)))
    assert [type(each).__name__ for each in found] == ["Play", "Rejected", "Rejected", "Rejected", "Rejected", "Play"]
    assert found[3].field == "listened_at"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2018-03-25T12:00:00", datetime(2018, 3, 25, 10, tzinfo=UTC)),
        ("2018-03-25 02:30", datetime(2018, 3, 25, 1, 30, tzinfo=UTC)),
        ("2018-10-28 02:30", datetime(2018, 10, 28, 0, 30, tzinfo=UTC)),
        ("2018-03-25T12:00:00Z", datetime(2018, 3, 25, 12, tzinfo=UTC)),
        ("2018-03-25T12:00:00+09:00", datetime(2018, 3, 25, 3, tzinfo=UTC)),
        ("1521979200", datetime(2018, 3, 25, 12, tzinfo=UTC)),
        ("1521979200000", datetime(2018, 3, 25, 12, tzinfo=UTC)),
        ("25 Mar 2018, 12:00", datetime(2018, 3, 25, 10, tzinfo=UTC)),
    ],
    ids=["naive", "an hour that is not", "an hour that is twice", "UTC", "offset", "seconds", "milliseconds", "words"],
)
def test_times_of_a_plain_csv(tmp_path: Path, time: str, expected: datetime) -> None:
    path = put(tmp_path / "a.csv", f'timestamp,artist,track\n"{time}",A,T\n')
    (play,) = plays("csv", path, Options(user="me", zone=ZoneInfo("Europe/Brussels")))
    assert play.played_at == expected


def test_columns_of_a_plain_csv_are_found_by_name(tmp_path: Path) -> None:
    path = put(
        tmp_path / "a.tsv", "User\tSong\tArtist Name\tartist\tTime\tmsPlayed\nu\tT\tx\tA\t2020-01-01T00:00Z\t5\n"
    )
    (play,) = plays("csv", path, Options())
    assert (play.user_id, play.title, play.artist, play.ms_played) == ("u", "T", "A", 5)
    assert plays("csv", path)[0].user_id == "me"


def test_bad_rows_of_a_plain_csv_say_what_is_wrong(tmp_path: Path) -> None:
    rows = ["2020-01-01T00:00Z,A,T,1", "noon,A,T,1",
            "2020-01-01T00:00Z,,T,1", "2020-01-01T00:00Z,A,T,-1", "2999-01-01,A,T,",
            "1960-01-01,A,T,", "1,2", f"2020-01-01T00:00Z,A,{'x' * 600},"]  # fmt: skip
    found = read("csv", put(tmp_path / "a.csv", "\n".join(["time,artist,title,ms_played", *rows])))
    assert [getattr(each, "field", "fine") for each in found] == [
        "fine", "played_at", "artist", "ms_played", "played_at", "played_at", None, "title",
    ]  # fmt: skip


def test_radio_rows_are_those_of_the_feed(tmp_path: Path) -> None:
    path = put(
        tmp_path / "radio.csv",
        "radio,date,time,title,artist\none,2018-03-25,02:30,Café,ENERGY 52\none,2018-3-25,1:00,a,b\none,x\n",
    )
    found = read("radio", path, Options())
    assert (found[0].user_id, found[0].played_at) == ("one", datetime(2018, 3, 25, 1, 30, tzinfo=UTC))
    assert found[0].item_id.startswith("track:energy-52-cafe-")
    assert [each.field for each in found[1:]] == ["date", None]


def test_the_real_radio_plays_are_the_same_events_as_the_feeds(music_data: Path) -> None:
    path = music_data / "radio_plays" / "plays_raw_2018-01_03.csv"
    found = Counter((each.user_id, each.item_id, each.played_at) for each in plays("radio", path, Options()))
    assert found == Counter((each.station, each.track_id, each.played_at) for each in radio.plays(path))


def test_real_export_files(music_data: Path) -> None:
    folder = music_data / "api_responses" / "import_files"
    assert len(plays("spotify", next(folder.glob("Streaming_*.json")))) > 20
    assert len(plays("lastfm", next(folder.glob("recenttracks-*.json")))) > 5
