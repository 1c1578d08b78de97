"""Answers of Last.fm, which were XML once: a list of one is its element, an empty one is the text of a line break.

Numbers are texts, a name is text or an object by the method and by `extended`, an error is an object with status 200
as well as with another one. What follows has one shape each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

import msgspec

from music_assets.sources.answers.reading import read_object
from music_assets.sources.http import Outcome, ShapeError

T = TypeVar("T")

_LIMITED: Final = 29
_PASSING: Final = frozenset({8, 11, 16})
"""Operation failed, service offline, temporary error."""


class _Ref(msgspec.Struct):
    """Another item: its name is the text, or with `extended` and in lists a field."""

    text: str = msgspec.field(default="", name="#text")
    name: str = ""
    mbid: str = ""


class _Date(msgspec.Struct):
    uts: str | int


class _Attributes(msgspec.Struct):
    nowplaying: str = ""


class _Stats(msgspec.Struct):
    listeners: str | int | None = None
    playcount: str | int | None = None


class _Track(msgspec.Struct):
    name: str
    artist: _Ref | str
    mbid: str = ""
    album: _Ref | str = ""
    date: _Date | None = None
    attributes: _Attributes | None = msgspec.field(default=None, name="@attr")


class _Artist(msgspec.Struct):
    name: str
    mbid: str = ""
    playcount: str | int | None = None
    listeners: str | int | None = None
    stats: _Stats | None = None
    match: str | float | None = None


class _Tag(msgspec.Struct):
    name: str
    count: str | int | None = None


class _Song(msgspec.Struct):
    name: str
    artist: _Ref | str
    mbid: str = ""
    duration: str | int | None = None
    listeners: str | int | None = None
    playcount: str | int | None = None
    album: dict[str, Any] | None = None


@dataclass(frozen=True)
class Scrobble:
    """A play; one under way has no time."""

    artist: str
    title: str
    album: str | None
    mbid: str | None
    artist_mbid: str | None
    played_at: datetime | None


@dataclass(frozen=True)
class Artist:
    """An artist; in a listener's list `playcount` is their own, in a list of similar ones `similarity` is 0 to 1."""

    name: str
    mbid: str | None
    listeners: int | None
    playcount: int | None
    similarity: float | None


@dataclass(frozen=True)
class Tag:
    """A word that listeners gave an item; weight 0 to 100, None where the method gives none."""

    name: str
    weight: float | None


@dataclass(frozen=True)
class Song:
    """A track; `duration_ms` is None where Last.fm says 0."""

    name: str
    artist: str
    mbid: str | None
    duration_ms: int | None
    listeners: int | None
    playcount: int | None
    album: str | None


@dataclass(frozen=True)
class Listing(Generic[T]):
    """One page of a list.

    Attributes:
        items: of this page.
        page: its number, 0 for an empty list.
        pages: how many there are; None where the method has no pages.
    """

    items: tuple[T, ...]
    page: int
    pages: int | None


def judge(status: int, body: bytes) -> tuple[Outcome, str] | None:
    """Return what an error object says, None for an answer: see https://www.last.fm/api/errorcodes."""
    try:
        content = read_object(body)
    except ShapeError:
        return None
    if "error" not in content:
        return None
    code, text = content["error"], f"error {content['error']}, {content.get('message', '')}"
    if code == _LIMITED:
        return Outcome.LIMITED, text
    return (Outcome.UNAVAILABLE if code in _PASSING or status >= 500 else Outcome.REFUSED), text


def recent_tracks(body: bytes) -> Listing[Scrobble]:
    """Parse user.getRecentTracks, plain or extended: newest first, one under way before all others."""
    return listing(body, "recenttracks", "track", _scrobble)


def artist_info(body: bytes) -> Artist:
    """Parse artist.getInfo."""
    return _artist(_content(body, "artist"))


def artist_tags(body: bytes) -> Listing[Tag]:
    """Parse artist.getTopTags and its relatives of albums and tracks."""
    return listing(body, "toptags", "tag", _tag)


def similar_artists(body: bytes) -> Listing[Artist]:
    """Parse artist.getSimilar."""
    return listing(body, "similarartists", "artist", _artist)


def top_artists(body: bytes) -> Listing[Artist]:
    """Parse user.getTopArtists and tag.getTopArtists."""
    return listing(body, "topartists", "artist", _artist)


def track_info(body: bytes) -> Song:
    """Parse track.getInfo."""
    raw = msgspec.convert(_content(body, "track"), _Song)
    return Song(
        name=raw.name, artist=_name(raw.artist), mbid=raw.mbid or None, duration_ms=number(raw.duration) or None,
        listeners=number(raw.listeners), playcount=number(raw.playcount),
        album=(raw.album or {}).get("title") or None,
    )  # fmt: skip


def listing(body: bytes, root: str, key: str, make: Any) -> Listing[Any]:
    """Parse a list of any method: `root` holds the elements under `key`, and the page's place."""
    content = _content(body, root)
    place = content.get("@attr")
    attributes = place if isinstance(place, dict) else content
    return Listing(
        items=tuple(make(each) for each in elements(content.get(key))),
        page=number(attributes.get("page")) or 0,
        pages=number(attributes.get("totalPages")),
    )


def elements(value: Any) -> Iterator[Any]:
    """Yield the elements of a list, of a list that is its one element, and of an empty one that is blank text."""
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield value
    elif value is not None and not (isinstance(value, str) and not value.strip()):
        raise ShapeError(f"expected a list or an object, got {type(value).__name__}")


def number(value: Any) -> int | None:
    """Return a number that may be a text; None for none.

    Raises:
        ShapeError: it is no number.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ShapeError(f"expected a number, got {str(value)[:40]!r}") from None


def _content(body: bytes, root: str) -> dict[str, Any]:
    content = read_object(body).get(root)
    if not isinstance(content, dict):
        raise ShapeError(f"there is no object {root!r}")
    return content


def _scrobble(value: Any) -> Scrobble:
    raw = msgspec.convert(value, _Track)
    playing = raw.attributes is not None and raw.attributes.nowplaying == "true"
    if raw.date is None and not playing:
        raise ShapeError("a track has no date and is not under way")
    # A track under way may come with a date all the same; it comes again when it is a play.
    when = None if raw.date is None or playing else datetime.fromtimestamp(number(raw.date.uts) or 0, UTC)
    return Scrobble(
        artist=_name(raw.artist), title=raw.name, album=_name(raw.album) or None, mbid=raw.mbid or None,
        artist_mbid=raw.artist.mbid or None if isinstance(raw.artist, _Ref) else None, played_at=when,
    )  # fmt: skip


def _artist(value: Any) -> Artist:
    raw = msgspec.convert(value, _Artist)
    stats = raw.stats or _Stats(raw.listeners, raw.playcount)
    return Artist(
        name=raw.name, mbid=raw.mbid or None, listeners=number(stats.listeners), playcount=number(stats.playcount),
        similarity=None if raw.match in (None, "") else float(raw.match),  # type: ignore[arg-type]
    )  # fmt: skip


def _tag(value: Any) -> Tag:
    raw = msgspec.convert(value, _Tag)
    return Tag(raw.name, number(raw.count))


def _name(value: _Ref | str) -> str:
    return value if isinstance(value, str) else value.name or value.text
