"""Facts about items, one kind of row per table of schema `source`, and the catalogue's records made of them."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from music_assets.sources import landing
from streaming.events import AlbumRecord, ArtistRecord, CatalogRecord, SongRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg


class Origin(StrEnum):
    """Where a fact or a play comes from, besides its source's name."""

    LIVE = "live"
    CACHED = "cached"
    RECORDED = "recorded"
    FILE = "file"
    SYNTHETIC = "synthetic"


class ArtistRow(NamedTuple):
    """An artist as one source knows it."""

    source: str
    item_id: str
    name: str
    origin: str
    fetched_at: datetime
    mbid: str | None = None
    popularity: int | None = None
    listeners: int | None = None
    playcount: int | None = None


class AlbumRow(NamedTuple):
    """An album as one source knows it."""

    source: str
    item_id: str
    name: str
    origin: str
    fetched_at: datetime
    artist_id: str | None = None
    artist_name: str | None = None
    release_date: str | None = None
    tracks: int | None = None
    mbid: str | None = None


class TrackRow(NamedTuple):
    """A track as one source knows it."""

    source: str
    item_id: str
    name: str
    origin: str
    fetched_at: datetime
    artist_id: str | None = None
    artist_name: str | None = None
    album_id: str | None = None
    duration_ms: int | None = None
    explicit: bool | None = None
    popularity: int | None = None
    listeners: int | None = None
    playcount: int | None = None
    isrc: str | None = None
    mbid: str | None = None


class TrackArtistRow(NamedTuple):
    """An artist of a track; position 0 is the first one."""

    source: str
    track_id: str
    position: int
    artist_id: str
    fetched_at: datetime


class TagRow(NamedTuple):
    """A word for an item; weight 0 to 100."""

    source: str
    item_id: str
    tag: str
    weight: float | None
    fetched_at: datetime


class SimilarArtistRow(NamedTuple):
    """An artist like another one; score 0 to 1."""

    source: str
    artist_id: str
    other_id: str
    score: float
    fetched_at: datetime


class AudioFeaturesRow(NamedTuple):
    """How a track sounds, in Spotify's measures."""

    source: str
    item_id: str
    origin: str
    fetched_at: datetime
    acousticness: float
    danceability: float
    energy: float
    instrumentalness: float
    liveness: float
    loudness: float
    speechiness: float
    tempo: float
    valence: float
    key: int
    mode: int
    time_signature: int


Fact = ArtistRow | AlbumRow | TrackRow | TrackArtistRow | TagRow | SimilarArtistRow | AudioFeaturesRow

_TARGETS: Final[dict[type[Any], landing.Target]] = {
    ArtistRow: landing.ARTISTS,
    AlbumRow: landing.ALBUMS,
    TrackRow: landing.TRACKS,
    TrackArtistRow: landing.TRACK_ARTISTS,
    TagRow: landing.TAGS,
    SimilarArtistRow: landing.SIMILAR_ARTISTS,
    AudioFeaturesRow: landing.AUDIO_FEATURES,
}


def land(conn: psycopg.Connection[tuple[Any, ...]], facts: Iterable[Fact], *, fill: bool = False) -> dict[str, int]:
    """Merge facts into their tables, all or none, and return the rows by table; `fill` as in `upsert_rows`."""
    by_kind: dict[type[Any], list[Any]] = defaultdict(list)
    for fact in facts:
        by_kind[type(fact)].append(fact)
    with conn.transaction():
        return {
            _TARGETS[kind].name: landing.upsert_rows(conn, _TARGETS[kind], kind._fields, rows, fill=fill)
            for kind, rows in by_kind.items()
        }


def records(facts: Iterable[Fact]) -> Iterator[CatalogRecord]:
    """Yield the catalogue's records of the artists, albums and tracks among facts; invented ones stay out."""
    for fact in facts:
        if getattr(fact, "origin", None) == Origin.SYNTHETIC:
            continue
        if isinstance(fact, ArtistRow):
            yield ArtistRecord(item_id=fact.item_id, name=fact.name, source=fact.source)
        elif isinstance(fact, AlbumRow):
            yield AlbumRecord(
                item_id=fact.item_id, name=fact.name, source=fact.source, artist_id=fact.artist_id,
                release_date=fact.release_date,
            )  # fmt: skip
        elif isinstance(fact, TrackRow):
            yield SongRecord(
                item_id=fact.item_id, name=fact.name, source=fact.source, artist_id=fact.artist_id,
                album_id=fact.album_id, duration_ms=fact.duration_ms,
            )  # fmt: skip
