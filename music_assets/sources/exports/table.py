"""Plain CSV with a header: columns by name, in any order, under the names that people give them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from music_assets.sources.exports.base import Options, Outcome, from_text, tidy
from music_assets.sources.exports.files import parts
from music_assets.sources.exports.rows import header_of, rows
from music_assets.sources.items import musicbrainz
from music_assets.sources.plays import Play, Refusal
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import IO

SOURCE: Final = "csv"
FILES: Final = re.compile(r".*\.(?:csv|tsv)", re.IGNORECASE)

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "played_at": ("played_at", "timestamp", "listened_at", "time", "date", "datetime", "ts", "utc_time", "uts"),
    "artist": ("artist", "artist_name", "artistname", "performer"),
    "title": ("title", "track", "track_name", "trackname", "song", "name"),
    "album": ("album", "album_name", "albumname", "release", "release_name"),
    "ms_played": ("ms_played", "msplayed", "milliseconds_played"),
    "user": ("user", "user_id", "username", "listener"),
    "spotify_id": ("spotify_id", "spotify_track_id", "spotify_track_uri"),
    "mbid": ("mbid", "recording_mbid", "track_mbid"),
}
"""Names of each column; of several that are there the first of its list counts."""

REQUIRED: Final = ("played_at", "artist", "title")
EXPECTED: Final = "; ".join(f"{name}: {', '.join(ALIASES[name])}" for name in REQUIRED)
_DELIMITERS: Final = ",;\t|"


def read(path: Path, options: Options) -> Iterator[tuple[Outcome, list[str]]]:
    """Yield the plays of a file, or of the files of a folder or zip archive; a given user stands above the column.

    Raises:
        ConfigurationError: the header lacks a column, or nobody says whose plays they are.
    """
    with parts(path, FILES, kind=SOURCE) as files:
        for file in files:
            with file.open() as stream:
                delimiter = _delimiter(stream)
            with file.open() as stream:
                found = rows(stream, delimiter)
                header = header_of(next(found, ([], None))[0])
                places = _places(header, file.name, options)
                for cells, problem in found:
                    yield problem or _play(cells, places, len(header), options), cells


def _delimiter(stream: IO[bytes]) -> str:
    """Return what separates most names of the header."""
    first = stream.read(4096).replace(b"\x00", b"").split(b"\n", 1)[0].decode(errors="replace")
    return max(_DELIMITERS, key=first.count)


def _places(header: tuple[str, ...], name: str, options: Options) -> dict[str, int]:
    found = {
        column: header.index(next(alias for alias in aliases if alias in header))
        for column, aliases in ALIASES.items()
        if any(alias in header for alias in aliases)
    }
    if missing := [column for column in REQUIRED if column not in found]:
        raise ConfigurationError(f"{name} has no column for {', '.join(missing)}; expected {EXPECTED}")
    if options.user is None and "user" not in found:
        raise ConfigurationError(f"{name} has no column for user ({', '.join(ALIASES['user'])}): give a user")
    return found


def _play(cells: list[str], places: dict[str, int], width: int, options: Options) -> Outcome:
    if len(cells) != width:
        return Refusal(None, f"must have {width} cells, as the header has")

    def cell(column: str) -> str:
        place = places.get(column)
        return "" if place is None else tidy(cells[place])

    try:
        played_at = from_text(cell("played_at"), options.zone)
    except ValueError as error:
        return Refusal("played_at", str(error))
    heard = cell("ms_played")
    if heard and not re.fullmatch(r"[0-9]{1,12}", heard, re.ASCII):
        return Refusal("ms_played", "must be a number of milliseconds")
    return Play(
        user_id=options.user or cell("user"), played_at=played_at, artist=cell("artist"), title=cell("title"),
        album=cell("album") or None, ms_played=int(heard) if heard else None, source=SOURCE,
        spotify_id=cell("spotify_id").removeprefix("spotify:track:") or None, mbid=musicbrainz(cell("mbid")),
    )  # fmt: skip
