"""Radio plays: local times become UTC, spellings become one item, every row is posted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from music_assets.sources import radio
from streaming.errors import ConfigurationError

HEADER = "radio,date,time,title,artist\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plays.csv"
    path.write_text(
        HEADER + "one,2018-03-25,12:00,Café del Mar!,ENERGY 52\n"
        "one,2018-03-25,12:00,Café del Mar!,ENERGY 52\n"
        'two,2018-03-24,12:00,"Cafe Del Mar",Energy 52\n'
        "two,2018-03-24,12:05,Cafe Del Mar,Energy 52\n"
        "two,2018-03-24,12:09,曲,歌手\n",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("day", "time", "expected"),
    [
        ("2018-03-24", "12:00", datetime(2018, 3, 24, 11, 0, tzinfo=UTC)),
        ("2018-03-25", "01:59", datetime(2018, 3, 25, 0, 59, tzinfo=UTC)),
        ("2018-03-25", "02:30", datetime(2018, 3, 25, 1, 30, tzinfo=UTC)),
        ("2018-03-25", "03:00", datetime(2018, 3, 25, 1, 0, tzinfo=UTC)),
        ("2018-03-26", "12:00", datetime(2018, 3, 26, 10, 0, tzinfo=UTC)),
        ("2018-10-28", "02:30", datetime(2018, 10, 28, 0, 30, tzinfo=UTC)),
        ("2018-10-28", "03:00", datetime(2018, 10, 28, 2, 0, tzinfo=UTC)),
    ],
    ids=["winter", "before the change", "hour that does not exist", "after it", "summer", "hour twice", "winter again"],
)
def test_local_times_become_utc(day: str, time: str, expected: datetime) -> None:
    assert radio.utc(day, time) == expected


def test_spellings_of_one_track_are_one_item(file: Path) -> None:
    tracks = [play.track_id for play in radio.plays(file)]
    assert len(set(tracks[:4])) == 1
    assert tracks[0].startswith("track:energy-52-cafe-del-mar-")
    assert tracks[4] != tracks[0]


def test_the_most_frequent_spelling_is_the_name(file: Path) -> None:
    names = {record.item_id: record.name for record in radio.feed(file).catalogue}
    first = next(radio.plays(file))
    assert names[first.track_id] == "Cafe Del Mar"
    assert "歌手" in names.values()


def test_repeated_rows_are_posted_and_counted_as_duplicates(file: Path) -> None:
    feed = radio.feed(file)
    truth = feed.truth.topics["events_listens"]
    assert (feed.truth.posted, truth.received, truth.stored, truth.duplicate) == (5, 5, 4, 1)
    assert len(list(feed.events())) == 5


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigurationError, match="must start with radio,date,time,title,artist"):
        radio.feed(tmp_path / "other.csv")
    with pytest.raises(ConfigurationError, match="is missing"):
        radio.feed(tmp_path / "none.csv")


def test_the_real_plays_keep_every_row_and_the_change_of_clocks(music_data: Path) -> None:
    file = music_data / "radio_plays" / "plays_raw_2018-01_03.csv"
    feed = radio.feed(file)
    assert (feed.truth.posted, feed.truth.topics["events_listens"].duplicate) == (180_777, 17)
    hours: set[int] = set()
    lines = file.read_text(encoding="utf-8").splitlines()[1:]
    for line, event in zip(lines, feed.events(), strict=True):
        if line.split(",")[1] == "2018-03-25":
            when, local = datetime.fromisoformat(event["timestamp"]), int(line.split(",")[2][:2])
            assert (local - when.hour) % 24 == (1 if local < 2 else 2)
            hours.add(local)
    assert 2 not in hours
    assert {0, 1, 3, 4} <= hours
    assert len({event["user_id"] for event in feed.events()}) == 7
