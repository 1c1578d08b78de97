"""Plays of radio stations from a CSV file (`radio,date,time,title,artist`), the station as the listener.

Times are local times of Brussels without a zone. In spring the hour 02:00-03:00 does not exist: such a time
is read with the offset before the change, one hour later on the clock. In autumn 02:00-03:00 comes twice: the
file does not say which one is meant, the first is taken. Artists and titles come in many spellings: an item
id is made of what remains without case, accents and punctuation, and the most frequent spelling is the name.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from music_assets.sources import items
from music_assets.sources.feed import ClientEvent, Feed, TopicTruth, Truth, catalogue_truth
from streaming.errors import ConfigurationError
from streaming.events import ArtistRecord, CatalogRecord, ItemKind, SongRecord

SOURCE: Final = "radio"
ZONE: Final = ZoneInfo("Europe/Brussels")
COLUMNS: Final = ("radio", "date", "time", "title", "artist")


@dataclass(frozen=True)
class Play:
    """One row of the file."""

    station: str
    played_at: datetime
    title: str
    artist: str

    @property
    def artist_id(self) -> str:
        """`artist:...` of the normalised name."""
        return items.named(ItemKind.ARTIST, self.artist)

    @property
    def track_id(self) -> str:
        """`track:...` of the normalised name and title."""
        return items.named(ItemKind.TRACK, self.artist, self.title)


def feed(file: Path) -> Feed:
    """Return the feed of a file: every row is posted, exact repetitions included.

    Raises:
        ConfigurationError: the file is missing or no file of plays.
    """
    artists, titles, artist_of = _Spellings(), _Spellings(), dict[str, str]()
    total, distinct = 0, set[tuple[str, str, datetime]]()
    for play in plays(file):
        total += 1
        distinct.add((play.station, play.track_id, play.played_at))
        artists.count(play.artist_id, play.artist)
        titles.count(play.track_id, play.title)
        artist_of[play.track_id] = play.artist_id
    records: list[CatalogRecord] = [
        ArtistRecord(item_id=item, name=name, source=SOURCE) for item, name in artists.names().items()
    ]
    records += [
        SongRecord(item_id=item, name=name, source=SOURCE, artist_id=artist_of[item])
        for item, name in titles.names().items()
    ]
    return Feed(
        name=SOURCE, title=f"radio plays, {total:,} rows of {file.name}", catalogue=records,
        events=lambda: (_event(play) for play in plays(file)), fixed=True,
        truth=Truth(
            posted=total,
            topics={
                "events_listens": TopicTruth(received=total, stored=len(distinct), duplicate=total - len(distinct))
            },
            catalogue=catalogue_truth(records),
        ),
    )  # fmt: skip


def plays(file: Path) -> Iterator[Play]:
    """Yield the rows of a file in its order.

    Raises:
        ConfigurationError: the file is missing, or its header is another one.
    """
    if not file.is_file():
        raise ConfigurationError(f"{file} is missing: give a CSV file of radio plays")
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        header = tuple(next(rows, ()))
        if header != COLUMNS:
            raise ConfigurationError(f"{file.name} must start with {','.join(COLUMNS)}, not {','.join(header)[:80]}")
        for station, day, time, title, artist in rows:
            yield Play(station, utc(day, time), title.strip(), artist.strip())


def utc(day: str, time: str) -> datetime:
    """Return the UTC time of a local one, `YYYY-MM-DD` and `HH:MM`.

    `fold=0`, the default, gives the offset before a change of clocks both where the hour is missing and
    where it comes twice.
    """
    return datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=ZONE).astimezone(UTC)


def _event(play: Play) -> ClientEvent:
    return {
        "user_id": play.station,
        "event_type": "listen",
        "item_id": play.track_id,
        "timestamp": play.played_at.isoformat(),
        "source": SOURCE,
    }


class _Spellings:
    """Counts the spellings of each item's name."""

    def __init__(self) -> None:
        self._votes: dict[str, Counter[str]] = {}

    def count(self, item_id: str, spelling: str) -> None:
        self._votes.setdefault(item_id, Counter())[spelling] += 1

    def names(self) -> dict[str, str]:
        """Return the most frequent spelling by id; of equal ones the first in order of the alphabet."""
        return {item: min(counts, key=lambda name: (-counts[name], name)) for item, counts in self._votes.items()}
