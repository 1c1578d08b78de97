"""Tables of tracks with all the damage that is known of the real ones, of any size; every name is invented."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FEATURES = [
    "genre", "artist_name", "track_name", "track_id", "popularity", "acousticness", "danceability", "duration_ms",
    "energy", "instrumentalness", "key", "liveness", "loudness", "mode", "speechiness", "tempo", "time_signature",
    "valence",
]  # fmt: skip
GENRES = [
    "", "track_id", "artists", "album_name", "track_name", "popularity", "duration_ms", "explicit", "danceability",
    "energy", "key", "loudness", "mode", "speechiness", "acousticness", "instrumentalness", "liveness", "valence",
    "tempo", "time_signature", "track_genre",
]  # fmt: skip
SONGS = [
    "track_id", "track_name", "track_artist", "track_popularity", "track_album_id", "track_album_name",
    "track_album_release_date", "playlist_name", "playlist_id", "playlist_genre", "playlist_subgenre", "danceability",
    "energy", "key", "loudness", "mode", "speechiness", "acousticness", "instrumentalness", "liveness", "valence",
    "tempo", "duration_ms",
]  # fmt: skip
_KEYS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_SIGNATURES = ("4-Apr", "3-Mar", "5-May", "1-Jan", "0-Apr")


@dataclass
class Expected:
    """What must become of a table.

    Attributes:
        tracks: distinct tracks of its good rows.
        rejected: rows by the column to blame.
    """

    tracks: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


def feature_row(number: int, **overrides: Any) -> dict[str, Any]:
    """A good row of the table with features; the number decides the track."""
    row = {
        "genre": "Harbour Pop", "artist_name": f"Artist {number % 997}", "track_name": f"Track, {number}",
        "track_id": f"{number:022}", "popularity": number % 101, "acousticness": 0.611, "danceability": 0.389,
        "duration_ms": 99_373, "energy": 0.91, "instrumentalness": "8.19E-06", "key": _KEYS[number % 12],
        "liveness": 0.346, "loudness": -1.828, "mode": "Major" if number % 2 else "Minor", "speechiness": 0.0525,
        "tempo": 166.969, "time_signature": _SIGNATURES[number % 5], "valence": 0.814,
    }  # fmt: skip
    return row | overrides


_DAMAGE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("danceability", {"danceability": "1.7"}), ("loudness", {"loudness": "-99"}), ("track_id", {"track_id": ""}),
    ("track_id", {"track_id": "x"}), ("name", {"track_name": ""}), ("artists", {"artist_name": " "}),
    ("popularity", {"popularity": "101"}), ("key", {"key": "H"}), ("time_signature", {"time_signature": "9-Sep"}),
    ("valence", {"valence": "nan"}), ("duration_ms", {"duration_ms": "-1"}),
)  # fmt: skip


def features(path: Path, count: int) -> Expected:
    """Write `count` rows with a byte order mark: a track once per genre, damaged cells, the last row cut off."""
    expected, known = Expected(), set[int]()
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, FEATURES)
        writer.writeheader()
        for n in range(count - 1):
            # Three of four rows are a track of their own; the fourth is one of before, in another genre.
            number = n if n % 4 else n // 2
            row = feature_row(number, genre=f"Genre {n % 26}", popularity=(n * 31) % 101)
            if n % 500 == 7:
                name, damage = _DAMAGE[n // 500 % len(_DAMAGE)]
                expected.rejected[name] += 1
                writer.writerow(row | damage)
            else:
                known.add(number)
                writer.writerow(row)
        last = io.StringIO()
        csv.DictWriter(last, FEATURES).writerow(feature_row(count))
        file.write(last.getvalue()[:90])
    expected.rejected[""] += 1
    expected.tracks = len(known)
    return expected
