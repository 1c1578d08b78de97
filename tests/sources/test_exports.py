"""Readers of export files: what people's files say, and what damaged and hostile ones come to."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from music_assets.sources import exports, radio
from music_assets.sources.exports import KINDS, Options, Rejected, Skipped
from music_assets.sources.exports.base import from_epoch
from music_assets.sources.plays import Play
from streaming.errors import ConfigurationError
from tests.sources import samples

ME = Options(user="me")


def read(kind: str, path: Path, options: Options = ME) -> list[Any]:
    found = list(exports.read(kind, path, options))
    assert [position for position, _ in found] == list(range(len(found)))
    return [record for _, record in found]


def plays(kind: str, path: Path, options: Options = ME) -> list[Play]:
    return [record for record in read(kind, path, options) if isinstance(record, Play)]


def rejected(kind: str, path: Path, options: Options = ME) -> list[Rejected]:
    return [record for record in read(kind, path, options) if isinstance(record, Rejected)]


def put(path: Path, content: str | bytes | Any) -> Path:
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    return path


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as found:
        for name, content in members.items():
            found.writestr(name, content)
    return path


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


GOOD = {
    "spotify": json.dumps([samples.spotify()] * 3),
    "lastfm": json.dumps([{"track": [samples.lastfm()] * 3}]),
    "listenbrainz": "\n".join([json.dumps(samples.listen())] * 3),
    "csv": "time,artist,title\n" + "2020-01-01T00:00:00Z,A,T\n" * 3,
    "radio": "radio,date,time,title,artist\n" + "one,2018-03-25,12:00,T,A\n" * 3,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_kind_is_read_in_every_encoding_that_says_what_it_is(tmp_path: Path, kind: str, encoding: str) -> None:
    assert len(plays(kind, put(tmp_path / "a.txt", GOOD[kind].encode(encoding)))) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [1, 5, 20])
def test_what_lies_before_the_damage_comes_in(tmp_path: Path, kind: str, cut: int) -> None:
    found = read(kind, put(tmp_path / "a.txt", GOOD[kind].encode().rstrip(b"]}\n")[:-cut]))
    assert [type(each) for each in found[:2]] == [Play, Play]
    assert len(found) == 3
    if kind in {"spotify", "lastfm", "listenbrainz"}:
        assert isinstance(found[2], Rejected)
        assert found[2].raw


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_of_file_is_refused_with_what_was_expected(tmp_path: Path, kind: str) -> None:
    others = [*(text for other, text in GOOD.items() if other != kind), "\x00\x01\x02", "{}", "[1, 2]", "<html>"]
    for place, other in enumerate(others):
        if (kind, other) == ("csv", GOOD["radio"]):
            continue  # it has every column that is needed
        with pytest.raises(ConfigurationError, match=r"expected|must start with"):
            read(kind, put(tmp_path / f"{place}.txt", other))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_refused(tmp_path: Path, kind: str) -> None:
    for path in (put(tmp_path / "a.txt", b""), archive(tmp_path / "a.zip", {"x": b"1"}), tmp_path / "none", tmp_path):
        if path == tmp_path:
            (tmp_path / "a.txt").unlink()
        with pytest.raises(ConfigurationError, match=r"empty|holds no file|does not exist"):
            read(kind, path)


def test_an_unknown_kind_is_refused_with_the_kinds(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="valid: spotify, lastfm, listenbrainz, csv, radio"):
        read("tidal", tmp_path)


@pytest.mark.parametrize("kind", ["spotify", "lastfm", "listenbrainz", "csv"])
def test_plays_of_nobody_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigurationError, match="give a user"):
        read(kind, put(tmp_path / "a.txt", GOOD[kind]), Options())


def test_a_bomb_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"endsong_0.json": b"[" + b" " * (64 << 20)})
    tracemalloc.start()
    with pytest.raises(ConfigurationError, match="200-fold"):
        read("spotify", path)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "name", ["../endsong_0.json", "/endsong_0.json", "a/../../endsong_0.json", "C:\\endsong_0.json"]
)
def test_an_archive_that_leads_out_of_itself_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="path outside itself"):
        read("spotify", archive(tmp_path / "a.zip", {name: GOOD["spotify"].encode()}))


def test_a_damaged_member_gives_what_comes_before_the_damage(tmp_path: Path) -> None:
    rows = [samples.spotify(ts=f"2024-01-01T00:{n % 60:02}:00Z", ms_played=n * 7919 % 99_991) for n in range(20_000)]
    path = archive(tmp_path / "a.zip", {"endsong_0.json": json.dumps(rows).encode()})
    content = bytearray(path.read_bytes())
    middle = len(content) * 3 // 4
    content[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(content)
    found = read("spotify", path)
    assert 1000 < len(found) < 20_000
    assert isinstance(found[-1], Rejected)


def test_garbage_among_records_costs_only_itself(tmp_path: Path) -> None:
    good = json.dumps(samples.spotify())
    twice = good.replace('"ts"', '"ts": "1999-01-01T00:00:00Z", "ts"')
    strange = [
        '{"a": [}]}',
        '{"ts": 1}',
        good.replace("Low Tide", "\\ud800"),
        "{}",
        good.replace('"ms_played": 180000', '"ms_played": 1e999'),
    ]
    found = read("spotify", put(tmp_path / "a.json", "[" + ",".join([good, *strange, twice, good]) + "]"))
    assert [type(each) is Play for each in found] == [True, *[False] * len(strange), True, True]
    assert found[0] == found[-2] == found[-1]


def test_latin_1_is_rejected_row_by_row(tmp_path: Path) -> None:
    text = "time,artist,title\n2020-01-01T00:00Z,Röyksopp,Eple\n2020-01-01T00:00Z,A,T\n"
    found = read("csv", put(tmp_path / "a.csv", text.encode("latin-1")))
    assert (found[0].reason, found[0].raw) == ("is not UTF-8", "2020-01-01T00:00Z,R\\xf6yksopp,Eple")
    assert isinstance(found[1], Play)
    bad = json.dumps([samples.spotify(master_metadata_track_name="é")], ensure_ascii=False).encode("latin-1")
    assert rejected("spotify", put(tmp_path / "a.json", bad))[0].reason == "is not UTF-8"


@pytest.mark.parametrize("opening", ["[", "{", '"', '{"a":', '[{"ts":"', "[[", "\\"])
def test_a_file_of_openings_takes_neither_time_nor_memory(tmp_path: Path, opening: str) -> None:
    good = json.dumps(samples.spotify())
    path = put(tmp_path / "a.json", f"[{good}," + opening * ((8 << 20) // len(opening)))
    tracemalloc.start()
    found = read("spotify", path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(found[0], Play)
    assert len(found) <= 2
    assert peak < 16 << 20


def test_a_large_file_is_not_held_in_memory(tmp_path: Path) -> None:
    row = json.dumps(samples.spotify()).encode()
    path = put(tmp_path / "a.json", b"[" + b",".join([row] * 60_000) + b"]")
    assert path.stat().st_size > 20 << 20
    tracemalloc.start()
    total = sum(1 for _ in exports.read("spotify", path, ME))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 60_000
    assert peak < 8 << 20


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1_767_225_600).map(from_epoch), CELL, CELL), min_size=1, max_size=8))
def test_whatever_is_written_as_csv_is_read_or_rejected(
    tmp_path: Path, written: list[tuple[datetime, str, str]]
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["time", "artist", "title"])
    writer.writerows((time.isoformat(), artist, title) for time, artist, title in written)
    found = read("csv", put(tmp_path / "a.csv", text.getvalue()))
    assert len(found) == len(written)
    for record, (time, artist, title) in zip(found, written, strict=True):
        if isinstance(record, Play):
            assert record.played_at == time
            assert record.artist.split() == artist.replace("\x00", " ").split()
        else:
            assert record.field in {"artist", "title"}
            value = artist if record.field == "artist" else title
            assert not value.strip() or not value.isprintable()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(sorted(KINDS)))
def test_no_bytes_break_a_reader(tmp_path: Path, content: bytes, kind: str) -> None:
    for path in (put(tmp_path / "a", content), put(tmp_path / "b", GOOD[kind].encode() + b"\n" + content)):
        try:
            found = read(kind, path)
        except ConfigurationError:
            continue
        assert found or not content.strip(b"[]{}, \t\r\n\x0b\x0c")
