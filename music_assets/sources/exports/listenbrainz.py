"""ListenBrainz listens: the zip archive of an export, its `.jsonl` files, or a JSON array of listens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from music_assets.sources.exports.base import Options, Outcome, decode, from_epoch, tidy
from music_assets.sources.exports.elements import array, each_line
from music_assets.sources.exports.files import parts
from music_assets.sources.items import musicbrainz
from music_assets.sources.plays import Play, Refusal
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE: Final = "listenbrainz"
FILES: Final = re.compile(r"(?:\d+|listens.*|.*listenbrainz.*)\.jsonl?", re.IGNORECASE)
EXPECTED: Final = "one JSON object a line, or a JSON array of them, with `listened_at` and `track_metadata`"
_SPOTIFY: Final = re.compile(
    r"(?:spotify:track:|open\.spotify\.com/(?:[a-z-]+/)?track/)([0-9A-Za-z]{22})(?![0-9A-Za-z])"
)
_DAY_MS: Final = 86_400_000


class _Info(msgspec.Struct):
    # Any client writes these as it likes: a strange value here makes no play unreadable.
    duration_ms: object = None
    duration: object = None
    duration_played: object = None
    recording_mbid: object = None
    spotify_id: object = None


class _Mapping(msgspec.Struct):
    recording_mbid: object = None


class _Metadata(msgspec.Struct):
    artist_name: str
    track_name: str
    release_name: str | None = None
    additional_info: _Info | None = None
    mbid_mapping: _Mapping | None = None


class _Listen(msgspec.Struct):
    listened_at: int
    track_metadata: _Metadata


_LISTEN: Final = msgspec.json.Decoder(_Listen)


def read(path: Path, options: Options) -> Iterator[tuple[Outcome, bytes]]:
    """Yield the plays of an export.

    Raises:
        ConfigurationError: it is no such export, or no user is given.
    """
    if options.user is None:
        raise ConfigurationError("a ListenBrainz export is one person's: give a user")
    with parts(path, FILES, kind=SOURCE) as files:
        for file in files:
            with file.open() as stream:
                is_array = stream.read(512).lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1] == b"["
            with file.open() as stream:
                for place, (raw, problem) in enumerate((array if is_array else each_line)(stream)):
                    if place == 0 and b'"listened_at"' not in raw:
                        raise ConfigurationError(f"{file.name} is no ListenBrainz export: expected {EXPECTED}")
                    yield problem or _listen(raw, options.user), raw


def _listen(raw: bytes, user: str) -> Outcome:
    listen = decode(_LISTEN, raw)
    if isinstance(listen, Refusal):
        return listen
    about = listen.track_metadata
    info, mapping = about.additional_info or _Info(), about.mbid_mapping or _Mapping()
    try:
        played_at = from_epoch(listen.listened_at)
    except ValueError:
        return Refusal("listened_at", "must be seconds since 1970")
    spotify = _SPOTIFY.search(info.spotify_id) if isinstance(info.spotify_id, str) else None
    return Play(
        user_id=user, played_at=played_at, artist=tidy(about.artist_name), title=tidy(about.track_name),
        album=tidy(about.release_name) or None, source=SOURCE, ms_played=_milliseconds(info.duration_played, 1000),
        duration_ms=_milliseconds(info.duration_ms, 1) or _milliseconds(info.duration, 1000),
        spotify_id=spotify.group(1) if spotify else None,
        mbid=musicbrainz(info.recording_mbid) or musicbrainz(mapping.recording_mbid),
    )  # fmt: skip


def _milliseconds(value: object, unit: int) -> int | None:
    """Return a client's number in milliseconds, None if it is no length of a track."""
    try:
        number = round(float(value) * unit) if isinstance(value, int | float | str) else 0
    except (ValueError, OverflowError):
        return None
    return number if 0 < number <= _DAY_MS else None
