"""Damaged and hostile export files: what can be read comes in, the rest is rejected, and nothing breaks."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from music_assets.sources import exports
from music_assets.sources.exports import KINDS, Options, Rejected
from music_assets.sources.exports.base import from_epoch
from music_assets.sources.plays import Play
from streaming.errors import ConfigurationError
from tests.sources import samples
from tests.sources.reading import ME, archive, plays, put, read, rejected

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
