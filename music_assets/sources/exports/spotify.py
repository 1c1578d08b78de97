"""Spotify's extended streaming history, its older `endsong_*.json`, and the short history of the account data.

Times are those of the end of a play; a play begins `ms_played` earlier. Podcasts and audiobooks are skipped. A short
play is a play: whether it was skipped is decided later, by how long it was heard.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from music_assets.sources.exports.base import Options, Outcome, Skipped, decode, started, tidy
from music_assets.sources.exports.elements import array
from music_assets.sources.exports.files import parts
from music_assets.sources.plays import Play, Refusal
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SOURCE: Final = "spotify"
FILES: Final = re.compile(r"Streaming_History_Audio_.*\.json|endsong_.*\.json|StreamingHistory.*\.json")
EXPECTED: Final = "a JSON array of plays with `ts` and `master_metadata_track_name`, or with `endTime` and `trackName`"
_PRIVATE: Final = re.compile(rb'"(?:ip_addr\w*|username|user_agent\w*)"\s*:\s*"[^"]*"\s*,?\s*')
"""What says where and on what somebody sat: no play needs it, so no rejected one keeps it."""


class _Extended(msgspec.Struct):
    ts: datetime
    ms_played: int
    master_metadata_track_name: str | None = None
    master_metadata_album_artist_name: str | None = None
    master_metadata_album_album_name: str | None = None
    spotify_track_uri: str | None = None
    spotify_episode_uri: str | None = None
    audiobook_uri: str | None = None


class _Short(msgspec.Struct, rename="camel"):
    end_time: str
    ms_played: int
    artist_name: str | None = None
    track_name: str | None = None
    podcast_name: str | None = None


_EXTENDED: Final = msgspec.json.Decoder(_Extended)
_SHORT: Final = msgspec.json.Decoder(_Short)


def read(path: Path, options: Options) -> Iterator[tuple[Outcome, bytes]]:
    """Yield the plays of a zip archive, a folder or one JSON file.

    Raises:
        ConfigurationError: it is no such export, or no user is given.
    """
    if options.user is None:
        raise ConfigurationError("a Spotify export does not say whose it is: give a user")
    with parts(path, FILES, kind=SOURCE) as files:
        for file in files:
            play = None
            with file.open() as stream:
                for raw, problem in array(stream):
                    if play is None:
                        play = _form(raw, file.name)
                    outcome = problem or play(raw, options.user)
                    yield outcome, _PRIVATE.sub(b"", raw) if isinstance(outcome, Refusal) else raw


def _form(raw: bytes, name: str) -> Callable[[bytes, str], Outcome]:
    """Tell the two forms apart by the first record.

    Raises:
        ConfigurationError: it is neither.
    """
    if b'"ts"' in raw:
        return _extended
    if b'"endTime"' in raw:
        return _short
    raise ConfigurationError(f"{name} is no Spotify export: expected {EXPECTED}")


def _extended(raw: bytes, user: str) -> Outcome:
    row = decode(_EXTENDED, raw)
    if isinstance(row, Refusal):
        return row
    if not row.master_metadata_track_name:
        if row.spotify_episode_uri or row.audiobook_uri:
            return Skipped("podcast or audiobook")
        return Refusal("master_metadata_track_name", "is missing")
    if row.ts.tzinfo is None:
        return Refusal("ts", "must have a zone")
    try:
        played_at = started(row.ts, row.ms_played)
    except ValueError as error:
        return Refusal("ts", str(error))
    uri = row.spotify_track_uri or ""
    return Play(
        user_id=user, played_at=played_at, artist=tidy(row.master_metadata_album_artist_name),
        title=tidy(row.master_metadata_track_name), album=tidy(row.master_metadata_album_album_name) or None,
        ms_played=row.ms_played, source=SOURCE,
        # A file of one's own has spotify:local: and no id.
        spotify_id=uri.removeprefix("spotify:track:") if uri.startswith("spotify:track:") else None,
    )  # fmt: skip


def _short(raw: bytes, user: str) -> Outcome:
    row = decode(_SHORT, raw)
    if isinstance(row, Refusal):
        return row
    if row.podcast_name is not None:
        return Skipped("podcast or audiobook")
    try:
        ended = datetime.strptime(row.end_time, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        played_at = started(ended, row.ms_played)
    except ValueError:
        return Refusal("endTime", "must be a time such as 2023-01-31 20:15")
    return Play(
        user_id=user, played_at=played_at, artist=tidy(row.artist_name), title=tidy(row.track_name),
        ms_played=row.ms_played, source=SOURCE,
    )  # fmt: skip
