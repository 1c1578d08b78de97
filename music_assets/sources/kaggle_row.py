"""One row of a table of tracks: what each column is called, its range, and the damage that spreadsheets do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeVar

from music_assets.sources.exports.base import tidy
from music_assets.sources.plays import Refusal

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "track_id": ("track_id", "uri"),
    "name": ("track_name", "track"),
    "artists": ("artists",),
    "artist": ("artist_name", "track_artist", "artist"),
    "album_id": ("track_album_id",),
    "album": ("album_name", "track_album_name"),
    "release_date": ("track_album_release_date",),
    "popularity": ("popularity", "track_popularity"),
    "duration_ms": ("duration_ms",),
    "explicit": ("explicit",),
    "genre": ("track_genre", "genre", "playlist_genre"),
    "subgenre": ("playlist_subgenre",),
    **{
        name: (name,)
        for name in (
            "acousticness", "danceability", "energy", "instrumentalness", "liveness", "loudness", "speechiness",
            "tempo", "valence", "key", "mode", "time_signature",
        )
    },
}  # fmt: skip
"""Names of each column in the known files."""

REQUIRED: Final = ("track_id", "name", "danceability", "energy", "tempo", "valence")
EXPECTED: Final = "expected columns such as track_id, track_name, artists or artist_name, danceability, …"

_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "acousticness": (0, 1), "danceability": (0, 1), "energy": (0, 1), "instrumentalness": (0, 1), "liveness": (0, 1),
    "loudness": (-60, 10), "speechiness": (0, 1), "tempo": (0, 300), "valence": (0, 1),
}  # fmt: skip
"""Decibels for loudness, beats a minute for tempo."""

FEATURES: Final = (*_RANGES, "key", "mode", "time_signature")
"""Columns of `source.audio_features`, in the order of `Track.features`."""

_KEYS: Final = {
    name: number
    for number, names in enumerate(
        ("C", "C# DB", "D", "D# EB", "E", "F", "F# GB", "G", "G# AB", "A", "A# BB", "B")
    )
    for name in names.split()
}  # fmt: skip
_MODES: Final = {"major": 1, "minor": 0, "1": 1, "0": 0}
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}
_SIGNATURE: Final = re.compile(r"([0-7])(?:/4|-[A-Za-z]{3})?|([0-7])\.0")
"""4, 4/4, and 4-Apr: a spreadsheet took 4/4 for a day of a month."""

_ID: Final = re.compile(r"(?:spotify:(?:track|album):)?([0-9A-Za-z]{22})")
_DATE: Final = re.compile(r"[12][0-9]{3}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01]))?)?", re.ASCII)
_LONGEST: Final = 512
_DAY_MS: Final = 86_400_000
_MAX_POPULARITY: Final = 100


V = TypeVar("V")


class Track(NamedTuple):
    """A valid row.

    Attributes:
        track_id: Spotify's id.
        name: title.
        artists: names, the main one first; at least one.
        album_id: Spotify's id.
        album: its title.
        release_date: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, as complete as it is known.
        popularity: 0 to 100.
        duration_ms: length, None if it says 0.
        explicit: whether its words are.
        tags: genres.
        features: in the order of `FEATURES`; None where Spotify found none (tempo 0, key -1, time signature 0).
    """

    track_id: str
    name: str
    artists: tuple[str, ...]
    album_id: str | None
    album: str | None
    release_date: str | None
    popularity: int | None
    duration_ms: int | None
    explicit: bool | None
    tags: tuple[str, ...]
    features: tuple[float | None, ...]


class _BadCellError(ValueError):
    """A cell that its column does not take."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def read_row(cells: list[str], places: Mapping[str, int], width: int) -> Track | Refusal:
    """Return the track of a row, or which column is to blame.

    Args:
        cells: of the row.
        places: of the columns that the file has, by their names here.
        width: cells of the header.
    """
    if len(cells) != width:
        return Refusal(None, f"must have {width} cells, as the header has")
    row = {column: tidy(cells[place]) for column, place in places.items()}
    try:
        return _track(row)
    except _BadCellError as error:
        return Refusal(error.field, str(error))


def _track(row: Mapping[str, str]) -> Track:
    many = row.get("artists")
    names = many.split(";") if many is not None else [row.get("artist", "")]
    artists = tuple(_text("artists", name.strip()) for name in names if name.strip())
    if not artists:
        raise _BadCellError("artists", "is missing")
    duration = _whole(row, "duration_ms", 0, _DAY_MS)
    return Track(
        track_id=_id(row, "track_id", required=True) or "",
        name=_text("name", row["name"]),
        artists=artists,
        album_id=_id(row, "album_id", required=False),
        album=_text("album", row["album"]) if row.get("album") else None,
        release_date=_date(row),
        popularity=_whole(row, "popularity", 0, _MAX_POPULARITY),
        duration_ms=duration or None,
        explicit=_chosen(row, "explicit", _BOOLEANS),
        tags=tuple(_text("genre", row[name]) for name in ("genre", "subgenre") if row.get(name)),
        features=_features(row),
    )


def _features(row: Mapping[str, str]) -> tuple[float | None, ...]:
    measured: dict[str, float | None] = {name: _number(row, name, *bounds) for name, bounds in _RANGES.items()}
    measured["tempo"] = measured["tempo"] or None
    return (*measured.values(), _key(row), _chosen(row, "mode", _MODES), _signature(row))


def _text(field: str, text: str) -> str:
    if not text:
        raise _BadCellError(field, "is missing")
    if len(text) > _LONGEST or not text.isprintable():
        raise _BadCellError(field, f"must be one line of at most {_LONGEST} characters")
    return text


def _id(row: Mapping[str, str], field: str, *, required: bool) -> str | None:
    text = row.get(field, "")
    if not text and not required:
        return None
    found = _ID.fullmatch(text)
    if found is None:
        raise _BadCellError(field, "must be an id of 22 letters and digits" if text else "is missing")
    return found.group(1)


def _date(row: Mapping[str, str]) -> str | None:
    text = row.get("release_date", "")
    if text and not _DATE.fullmatch(text):
        raise _BadCellError("release_date", "must be YYYY, YYYY-MM or YYYY-MM-DD")
    return text or None


def _number(row: Mapping[str, str], field: str, low: float, high: float) -> float | None:
    text = row.get(field, "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise _BadCellError(field, f"must be a number from {low} to {high}")
    return number


def _whole(row: Mapping[str, str], field: str, low: int, high: int) -> int | None:
    number = _number(row, field, low, high)
    if number is not None and number != int(number):
        raise _BadCellError(field, f"must be a whole number from {low} to {high}")
    return None if number is None else int(number)


def _chosen(row: Mapping[str, str], field: str, values: Mapping[str, V]) -> V | None:
    text = row.get(field, "").lower().removesuffix(".0")
    if text and text not in values:
        raise _BadCellError(field, f"must be one of {', '.join(values)}")
    return values.get(text)


def _key(row: Mapping[str, str]) -> int | None:
    text = row.get("key", "").upper()
    if text in _KEYS:
        return _KEYS[text]
    number = _whole(row, "key", -1, 11)
    return number if number is not None and number >= 0 else None


def _signature(row: Mapping[str, str]) -> int | None:
    text = row.get("time_signature", "")
    if not text:
        return None
    found = _SIGNATURE.fullmatch(text)
    if found is None:
        raise _BadCellError("time_signature", "must be a number of quarters from 0 to 7")
    return int(found.group(1) or found.group(2)) or None
