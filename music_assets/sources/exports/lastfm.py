"""Last.fm scrobbles as the common tools export them: pages of JSON, and two forms of CSV.

The JSON is the answer of `user.getRecentTracks`, one page or a list of them. The CSV has the header
`uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid`, or none and the columns artist, album, title and a
time such as `31 Dec 2020 13:45`. What plays at this moment has no time and is skipped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from music_assets.sources.exports.base import Options, Outcome, Skipped, decode, from_epoch, from_text, tidy
from music_assets.sources.exports.elements import array
from music_assets.sources.exports.files import parts
from music_assets.sources.exports.rows import header_of, rows
from music_assets.sources.items import musicbrainz
from music_assets.sources.plays import Play, Refusal
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from music_assets.sources.exports.base import Raw
    from music_assets.sources.exports.files import Part

SOURCE: Final = "lastfm"
FILES: Final = re.compile(r".*\.(?:json|csv)", re.IGNORECASE)
EXPECTED: Final = (
    'JSON with {"track": [...]}, CSV with the header uts,utc_time,artist,…, or CSV of artist,album,title,time'
)
HEADER: Final = ("uts", "utc_time", "artist", "artist_mbid", "album", "album_mbid", "track", "track_mbid")
_HEADLESS: Final = 4

_BETWEEN: Final = re.compile(
    rb'(?:[\s,\[\]}]|\{\s*"(?:recenttracks|track)"\s*:\s*(?=[\[{])|"track"\s*:\s*(?=[\[{])|"@attr"\s*:\s*\{[^{}]*\})*+'
)
"""Pages around the tracks, whose objects are what is wanted."""


class _Name(msgspec.Struct):
    text: str = msgspec.field(default="", name="#text")
    name: str = ""
    mbid: str = ""


class _Date(msgspec.Struct):
    uts: str | int


class _Track(msgspec.Struct):
    name: str
    artist: _Name
    album: _Name | None = None
    date: _Date | None = None
    mbid: str | None = None
    attr: dict[str, Any] | None = msgspec.field(default=None, name="@attr")


_TRACK: Final = msgspec.json.Decoder(_Track)


def read(path: Path, options: Options) -> Iterator[tuple[Outcome, Raw]]:
    """Yield the plays of a JSON or CSV file, or of a folder or zip archive of them.

    Raises:
        ConfigurationError: it is no such export, or no user is given.
    """
    if options.user is None:
        raise ConfigurationError("a Last.fm export does not say whose it is: give a user")
    with parts(path, FILES, kind=SOURCE) as files:
        for file in files:
            with file.open() as stream:
                start = stream.read(512).lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
            yield from (_json if start[:1] in {b"[", b"{"} else _csv)(file, options)


def _json(file: Part, options: Options) -> Iterator[tuple[Outcome, bytes]]:
    with file.open() as stream:
        for place, (raw, problem) in enumerate(array(stream, _BETWEEN)):
            if place == 0 and b'"artist"' not in raw:
                raise ConfigurationError(f"{file.name} is no Last.fm export: expected {EXPECTED}")
            yield problem or _scrobble(raw, str(options.user)), raw


def _scrobble(raw: bytes, user: str) -> Outcome:
    track = decode(_TRACK, raw)
    if isinstance(track, Refusal):
        return track
    if track.date is None:
        if (track.attr or {}).get("nowplaying"):
            return Skipped("playing at that moment")
        return Refusal("date", "is missing")
    try:
        played_at = from_epoch(track.date.uts)
    except ValueError:
        return Refusal("date", "must be seconds since 1970")
    album = track.album
    return Play(
        user_id=user, played_at=played_at, artist=tidy(track.artist.text or track.artist.name), title=tidy(track.name),
        album=(tidy(album.text or album.name) or None) if album else None, mbid=musicbrainz(track.mbid), source=SOURCE,
    )  # fmt: skip


def _csv(file: Part, options: Options) -> Iterator[tuple[Outcome, list[str]]]:
    with file.open() as stream:
        found = rows(stream)
        cells, problem = next(found, ([], None))
        if header_of(cells) == HEADER:
            read = _with_header
        elif problem is None and isinstance(first := _headless(cells, options), Play):
            read = _headless
            yield first, cells
        else:
            raise ConfigurationError(f"{file.name} is no Last.fm export: expected {EXPECTED}")
        for cells, problem in found:
            yield problem or read(cells, options), cells


def _with_header(cells: list[str], options: Options) -> Outcome:
    if len(cells) != len(HEADER):
        return Refusal(None, f"must have {len(HEADER)} cells")
    uts, _, artist, _, album, _, title, mbid = cells
    if uts.strip() in {"", "0"}:
        return Skipped("playing at that moment")
    try:
        played_at = from_epoch(uts)
    except ValueError:
        return Refusal("uts", "must be seconds since 1970")
    return Play(
        user_id=str(options.user), played_at=played_at, artist=tidy(artist), title=tidy(title),
        album=tidy(album) or None, mbid=musicbrainz(mbid), source=SOURCE,
    )  # fmt: skip


def _headless(cells: list[str], options: Options) -> Outcome:
    if len(cells) != _HEADLESS:
        return Refusal(None, f"must have {_HEADLESS} cells: artist, album, title, time")
    artist, album, title, time = cells
    if not time.strip():
        return Skipped("playing at that moment")
    try:
        played_at = from_text(time, options.zone)
    except ValueError as error:
        return Refusal("time", str(error))
    return Play(
        user_id=str(options.user), played_at=played_at, artist=tidy(artist), title=tidy(title),
        album=tidy(album) or None, source=SOURCE,
    )  # fmt: skip
