"""Plays of radio stations (`radio,date,time,title,artist`), as `music_assets.sources.radio` reads their times."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from music_assets.sources import radio
from music_assets.sources.exports.base import Options, Outcome, tidy
from music_assets.sources.exports.files import parts
from music_assets.sources.exports.rows import header_of, rows
from music_assets.sources.plays import Play, Refusal
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES: Final = re.compile(r".*\.csv", re.IGNORECASE)
_TIME: Final = re.compile(r"[0-9]{2}:[0-9]{2}", re.ASCII)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def read(path: Path, options: Options) -> Iterator[tuple[Outcome, list[str]]]:
    """Yield the plays, the station as the listener unless a user is given; times are Brussels' whatever the zone.

    Raises:
        ConfigurationError: the header is another one.
    """
    with parts(path, FILES, kind=radio.SOURCE) as files:
        for file in files:
            with file.open() as stream:
                found = rows(stream)
                if header_of(next(found, ([], None))[0]) != radio.COLUMNS:
                    raise ConfigurationError(f"{file.name} must start with {','.join(radio.COLUMNS)}")
                for cells, problem in found:
                    yield problem or _play(cells, options), cells


def _play(cells: list[str], options: Options) -> Outcome:
    if len(cells) != len(radio.COLUMNS):
        return Refusal(None, f"must have {len(radio.COLUMNS)} cells")
    station, day, time, title, artist = cells
    try:
        played_at = radio.utc(day, time) if _DAY.fullmatch(day) and _TIME.fullmatch(time) else None
    except (ValueError, OverflowError):
        played_at = None
    if played_at is None:
        return Refusal("date", "must be a day such as 2018-03-25 and a time such as 02:30")
    return Play(
        user_id=options.user or station, played_at=played_at, artist=tidy(artist), title=tidy(title),
        source=radio.SOURCE,
    )  # fmt: skip
