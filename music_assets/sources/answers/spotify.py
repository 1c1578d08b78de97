"""Answers of Spotify's Web API.

Fields that it has withdrawn from some applications (popularity, followers, genres) may be absent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import msgspec

from music_assets.sources.answers.reading import read
from music_assets.sources.http import Outcome, ShapeError

T = TypeVar("T")
S = TypeVar("S")


class Artist(msgspec.Struct):
    """An artist; inside a track only id and name. Without an id it is a local file's."""

    name: str
    id: str | None = None
    popularity: int | None = None
    genres: list[str] = []


class Album(msgspec.Struct):
    """An album; inside a track without its tracks."""

    name: str
    id: str | None = None
    artists: list[Artist] = []
    release_date: str | None = None
    total_tracks: int | None = None


class Track(msgspec.Struct):
    """A track; of an album's own list without album and popularity."""

    name: str
    artists: list[Artist]
    id: str | None = None
    album: Album | None = None
    duration_ms: int | None = None
    explicit: bool | None = None
    popularity: int | None = None
    external_ids: dict[str, str] = {}
    is_local: bool = False


class Context(msgspec.Struct):
    """Where it played: a playlist, an album, an artist."""

    type: str | None = None
    uri: str | None = None


class Play(msgspec.Struct):
    """One of the last plays; the time is when Spotify counted it."""

    track: Track
    played_at: datetime
    context: Context | None = None


class Cursors(msgspec.Struct):
    """Milliseconds since 1970 as texts."""

    after: str | None = None
    before: str | None = None


class RecentlyPlayed(msgspec.Struct):
    """The last plays, newest first; `cursors` is null when there are none."""

    items: list[Play]
    next: str | None = None
    cursors: Cursors | None = None


class Saved(msgspec.Struct):
    """A track that a listener keeps."""

    added_at: datetime
    track: Track


class SavedAlbum(msgspec.Struct):
    """An album that a listener keeps."""

    added_at: datetime
    album: Album


class Page(msgspec.Struct, Generic[T]):
    """A page; `next` is the address of the one behind it."""

    items: list[T]
    next: str | None = None
    total: int | None = None


class AudioFeatures(msgspec.Struct):
    """How a track sounds; withdrawn from new applications in November 2024."""

    id: str
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


class User(msgspec.Struct):
    """An account."""

    id: str


class Token(msgspec.Struct):
    """What the accounts service gives for a refresh token."""

    access_token: str
    expires_in: int


PASSING: Final = frozenset({408, 429})


def judge(status: int, body: bytes) -> tuple[Outcome, str] | None:
    """Return what an error says, of the API (`{"error": {...}}`) or of the accounts service; None for an answer."""
    if status < 400:
        return None
    text = f"HTTP {status}, {_text(body)}"
    if status == 429:
        return Outcome.LIMITED, text
    return (Outcome.UNAVAILABLE if status >= 500 or status in PASSING else Outcome.REFUSED), text


def _text(body: bytes) -> str:
    try:
        content = read(body)
    except ShapeError:
        return body[:80].decode(errors="replace")
    error = content.get("error") if isinstance(content, dict) else None
    if isinstance(error, dict):
        return str(error.get("message", ""))
    return f"{error}: {content.get('error_description', '')}" if error else ""


def parse(body: bytes, shape: type[S]) -> S:
    """Parse an answer of a shape.

    Raises:
        ShapeError: it has another one.
    """
    return convert(read(body), shape)


def parse_several(body: bytes, name: str, shape: type[S]) -> list[S]:
    """Parse `{"<name>": [...]}`; what Spotify does not know is null there and left out.

    Raises:
        ShapeError: it has another shape.
    """
    content = read(body)
    if not isinstance(content, dict) or not isinstance(content.get(name), list):
        raise ShapeError(f"there is no list {name!r}")
    return [convert(each, shape) for each in content[name] if each is not None]


def parse_found(body: bytes, name: str, shape: type[S]) -> list[S]:
    """Parse the answer of a search for one kind of item, `{"<name>": {"items": [...]}}`.

    Raises:
        ShapeError: it has another shape.
    """
    content = read(body)
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("items"), list):
        raise ShapeError(f"there is no page {name!r}")
    return [convert(each, shape) for each in found["items"] if each is not None]


def convert(value: Any, shape: type[S]) -> S:
    """Return a decoded value as a shape.

    Raises:
        ShapeError: it has another one.
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise ShapeError(str(error)) from None
