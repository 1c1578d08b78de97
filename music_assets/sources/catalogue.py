"""The synthetic catalogue: artists in styles, albums, tracks; a function of the seed alone.

A second run therefore sends the same records again, and the planted trend is the same track.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from music_assets.sources import names
from streaming.events import AlbumRecord, ArtistRecord, CatalogRecord, SongRecord

SOURCE: Final = "synthetic"
ARTISTS_PER_STYLE: Final = 2
ALBUMS_PER_ARTIST: Final = 3


@dataclass(frozen=True)
class Track:
    """A track with what decides who hears it.

    Attributes:
        item_id: `track:...`.
        artist_id: `artist:...`.
        album_id: `album:...`.
        style: index of the style; listeners love a few styles.
        appeal: relative chance within its style, above 0.
        duration_ms: length.
    """

    item_id: str
    artist_id: str
    album_id: str
    style: int
    appeal: float
    duration_ms: int


@dataclass(frozen=True)
class Catalogue:
    """All items, as records for the topics and as tracks for the listeners."""

    records: tuple[CatalogRecord, ...]
    tracks: tuple[Track, ...]

    @property
    def styles(self) -> int:
        """Number of styles."""
        return max(track.style for track in self.tracks) + 1

    def of_style(self, style: int) -> tuple[Track, ...]:
        """Return the tracks of a style."""
        return tuple(track for track in self.tracks if track.style == style)


def build(seed: int, *, artists: int, tracks: int) -> Catalogue:
    """Return the catalogue of a seed: `artists` artists and `tracks` tracks, evenly shared."""
    rng = Random(f"catalogue:{seed}")  # noqa: S311 - a repeatable world, not a secret
    records: list[CatalogRecord] = []
    made: list[Track] = []
    titles = iter(names.distinct(rng, tracks, "track"))
    albums = iter(names.distinct(rng, artists * ALBUMS_PER_ARTIST, "album"))
    for number, name in enumerate(names.distinct(rng, artists, "artist")):
        style = number // ARTISTS_PER_STYLE
        genre = names.GENRES[style % len(names.GENRES)]
        artist_id = f"artist:s{seed}-{number:03d}"
        records.append(
            ArtistRecord(
                item_id=artist_id,
                name=name,
                source=SOURCE,
                genre=genre,
                country=rng.choice(names.COUNTRIES),
            )
        )
        album_ids = [f"album:s{seed}-{number:03d}-{disc}" for disc in range(ALBUMS_PER_ARTIST)]
        records += [
            AlbumRecord(
                item_id=album_id, name=next(albums), source=SOURCE, artist_id=artist_id,
                release_date=str(rng.randint(1994, 2024)),
            )
            for album_id in album_ids
        ]  # fmt: skip
        share = tracks // artists + (number < tracks % artists)
        for place in range(share):
            track = Track(
                item_id=f"track:s{seed}-{number:03d}-{place:03d}", artist_id=artist_id,
                album_id=album_ids[place % ALBUMS_PER_ARTIST], style=style,
                appeal=1 / (1 + place) ** 0.7, duration_ms=rng.randint(120_000, 360_000),
            )  # fmt: skip
            made.append(track)
            records.append(_song(track, next(titles), genre))
    return Catalogue(tuple(records), tuple(made))


def _song(track: Track, title: str, genre: str) -> SongRecord:
    return SongRecord(
        item_id=track.item_id, name=title, source=SOURCE, artist_id=track.artist_id, album_id=track.album_id,
        duration_ms=track.duration_ms, genre=genre,
    )  # fmt: skip
