"""Tables of Spotify tracks with audio features, as data sets on Kaggle have them, into the tables of schema `source`.

A file says which of the known columns it has by its header: the set of 114 genres (`track_id,artists,album_name,…`),
`SpotifyFeatures.csv` (`genre,artist_name,…`), `spotify_songs.csv` with its playlists, and the hits by decade. A track
has a row per genre: they become one track with several tags, and of differing popularities the highest is kept,
because the lower ones are those of other days. A value outside its range rejects the row: nothing is dropped silently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from music_assets.sources import import_table, items, landing
from music_assets.sources.exports import printable
from music_assets.sources.exports.files import parts
from music_assets.sources.exports.rows import header_of, rows
from music_assets.sources.import_table import RejectedRow
from music_assets.sources.kaggle_row import COLUMNS, EXPECTED, FEATURES, REQUIRED, Track, read_row
from music_assets.sources.plays import Refusal
from streaming.errors import ConfigurationError
from streaming.events import ItemKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import psycopg

    from music_assets.sources.import_table import Import

KIND: Final = "kaggle_tracks"
ORIGIN: Final = "file"
BATCH: Final = 5_000
"""Rows of a file in one transaction."""

_FILES: Final = re.compile(r".*\.csv", re.IGNORECASE)


@dataclass(frozen=True)
class Ids:
    """Item ids of a row."""

    track: str
    artists: tuple[str, ...]
    album: str | None


def read(path: Path) -> Iterator[tuple[int, Track | Refusal, list[str]]]:
    """Yield every row of a file, or of the files of a folder or zip archive, with its position and cells.

    Raises:
        ConfigurationError: a file's header is none of the known ones.
    """
    position = 0
    with parts(path, _FILES, kind=KIND) as files:
        for file in files:
            with file.open() as stream:
                found = rows(stream)
                header = header_of(next(found, ([], None))[0])
                places = _places(header, file.name)
                for cells, problem in found:
                    yield position, problem or read_row(cells, places, len(header)), cells
                    position += 1


def _places(header: tuple[str, ...], name: str) -> dict[str, int]:
    places = {
        column: header.index(next(alias for alias in aliases if alias in header))
        for column, aliases in COLUMNS.items()
        if any(alias in header for alias in aliases)
    }
    if missing := [column for column in REQUIRED if column not in places]:
        raise ConfigurationError(f"{name} is no table of tracks: no column for {', '.join(missing)}; {EXPECTED}")
    return places


def load(connection: psycopg.Connection[Any], record: Import, path: Path, progress: Callable[[Import], None]) -> None:
    """Bring the rest of a file into the tables, a batch and its position in one transaction.

    Raises:
        ConfigurationError: a file's header is none of the known ones.
    """
    now = datetime.now(UTC)
    start, position = record.position, record.position - 1
    tracks: list[Track] = []
    rejected: list[RejectedRow] = []

    def note() -> None:
        _store(connection, tracks, now)
        row = import_table.advance(
            connection, record, position=max(position + 1, start), accepted=len(tracks), skipped=0, rejected=rejected
        )
        tracks.clear()
        rejected.clear()
        progress(row)

    for position, found, cells in read(path):
        if position < start:
            continue
        if isinstance(found, Refusal):
            rejected.append(RejectedRow(position, found.reason, found.field, printable(cells)))
        else:
            tracks.append(found)
        if len(tracks) + len(rejected) == BATCH:
            note()
    note()


def ids(track: Track) -> Ids:
    """Return the item ids of a row: Spotify's where it has them."""
    album = None
    if track.album_id is not None:
        album = items.spotify(ItemKind.ALBUM, track.album_id)
    elif track.album is not None:
        album = items.named(ItemKind.ALBUM, track.artists[0], track.album)
    artists = tuple(dict.fromkeys(items.named(ItemKind.ARTIST, name) for name in track.artists))
    return Ids(items.spotify(ItemKind.TRACK, track.track_id), artists, album)


def _store(connection: psycopg.Connection[Any], tracks: Iterable[Track], now: datetime) -> None:
    known = [(track, ids(track)) for track in tracks]
    if not known:
        return
    popularity = _popularity(connection, known)
    own = (ORIGIN, now)
    artists = {
        artist_id: (KIND, artist_id, name, *own)
        for track, of in known
        for artist_id, name in zip(of.artists, track.artists, strict=False)
    }
    landing.upsert_rows(
        connection, landing.ARTISTS, ("source", "item_id", "name", "origin", "fetched_at"), artists.values()
    )
    landing.upsert_rows(
        connection, landing.ALBUMS,
        ("source", "item_id", "name", "artist_id", "artist_name", "release_date", "origin", "fetched_at"),
        ((KIND, of.album, track.album, of.artists[0], track.artists[0], track.release_date, *own)
         for track, of in known if of.album is not None and track.album is not None),
    )  # fmt: skip
    landing.upsert_rows(
        connection, landing.TRACKS,
        ("source", "item_id", "name", "artist_id", "artist_name", "album_id", "duration_ms", "explicit", "popularity",
         "origin", "fetched_at"),
        ((KIND, of.track, track.name, of.artists[0], track.artists[0], of.album, track.duration_ms, track.explicit,
          popularity.get(of.track), *own) for track, of in known),
    )  # fmt: skip
    landing.upsert_rows(
        connection, landing.TRACK_ARTISTS, ("source", "track_id", "position", "artist_id", "fetched_at"),
        ((KIND, of.track, place, artist_id, now) for _, of in known for place, artist_id in enumerate(of.artists)),
    )  # fmt: skip
    landing.upsert_rows(
        connection, landing.TAGS, ("source", "item_id", "tag", "fetched_at"),
        ((KIND, of.track, tag, now) for track, of in known for tag in track.tags),
    )  # fmt: skip
    landing.upsert_rows(
        connection, landing.AUDIO_FEATURES, ("source", "item_id", *FEATURES, "origin", "fetched_at"),
        ((KIND, of.track, *track.features, *own)
         for track, of in known if any(each is not None for each in track.features)),
    )  # fmt: skip


def _popularity(connection: psycopg.Connection[Any], known: list[tuple[Track, Ids]]) -> dict[str, int]:
    """Return the highest popularity of each track, of these rows and of those before them."""
    highest = dict(
        connection.execute(
            "select item_id, popularity from source.tracks"
            " where source = %s and item_id = any(%s) and popularity is not null",
            (KIND, [of.track for _, of in known]),
        ).fetchall()
    )
    for track, of in known:
        if track.popularity is not None:
            highest[of.track] = max(track.popularity, highest.get(of.track, 0))
    return highest
