"""What every reader of export files shares: outcomes, options, and how names and times are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from music_assets.sources.plays import Play, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Raw = bytes | list[str]
    """A record as it stands in its file: JSON, or the cells of a row."""


T = TypeVar("T")


class Skipped(NamedTuple):
    """A record that is no play of music: a podcast, or what plays at this moment."""

    reason: str


Outcome = Play | Refusal | Skipped


class Rejected(NamedTuple):
    """A record that should be a play and is none: the field to blame, why, and the record for a person to look at."""

    field: str | None
    reason: str
    raw: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a file does not say.

    Attributes:
        user: whose plays they are; None: the file has a column that says so.
        zone: of times without one. Where the clocks skip an hour, a time in it is read with the offset before the
            change; where an hour comes twice, the first is meant.
    """

    user: str | None = None
    zone: tzinfo = UTC


if TYPE_CHECKING:
    Reader = Callable[[Path, Options], Iterator[tuple[Outcome, Raw]]]

_SPACE: Final = re.compile(r"[\s\x00]+")
_AT: Final = re.compile(r" - at `\$\.?([^`]*)`")
_TEXT_TIME: Final = ("%d %b %Y %H:%M", "%d %b %Y, %H:%M", "%d %b %Y %H:%M:%S")
_MILLISECONDS: Final = 100_000_000_000
"""A number from here on counts milliseconds: as seconds it would be the year 5138."""


def tidy(text: str | None) -> str:
    """Return a name on one line without spaces around it; empty if there is none."""
    if not text:
        return ""
    # Most names are tidy already, and this runs for every name of every play.
    return text.strip() if text.isprintable() else _SPACE.sub(" ", text).strip()


def from_epoch(seconds: float | str) -> datetime:
    """Return the UTC time of seconds, or milliseconds, since 1970.

    Raises:
        ValueError: it is no number, or no time of the calendar.
    """
    number = float(seconds)
    if abs(number) >= _MILLISECONDS:
        number /= 1000
    try:
        return datetime.fromtimestamp(number, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("must be a time of the calendar") from error


def from_text(text: str, zone: tzinfo) -> datetime:
    """Return the UTC time of ISO 8601, of `31 Dec 2020 13:45`, or of a number of seconds or milliseconds.

    Raises:
        ValueError: it is none of them.
    """
    stripped = text.strip()
    if re.fullmatch(r"[0-9]{5,16}(?:\.[0-9]+)?", stripped, re.ASCII):
        return from_epoch(stripped)
    found = _iso(stripped) or _english(stripped)
    if found is None:
        raise ValueError("must be ISO 8601, such as 2020-12-31T13:45:00Z, or seconds since 1970")
    try:
        return (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must be a time of the calendar") from error


def _iso(text: str) -> datetime | None:
    try:
        # The shorter forms of ISO 8601, such as 20201231, look like numbers of something else.
        return datetime.fromisoformat(text.removesuffix(" UTC")) if text[4:5] == "-" else None
    except ValueError:
        return None


def _english(text: str) -> datetime | None:
    for form in _TEXT_TIME:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the caller knows the zone
        except ValueError:
            continue
    return None


def started(ended: datetime, ms_played: int) -> datetime:
    """Return when a play began that ended at a time.

    Raises:
        ValueError: before the calendar begins.
    """
    try:
        return ended.astimezone(UTC) - timedelta(milliseconds=ms_played)
    except OverflowError as error:
        raise ValueError("must be a time of the calendar") from error


def decode(decoder: msgspec.json.Decoder[T], raw: bytes) -> T | Refusal:
    """Return a record of the decoder's type, or why it is none."""
    try:
        return decoder.decode(raw)
    except RecursionError:
        return Refusal(None, "is nested too deep")
    except UnicodeDecodeError:
        return Refusal(None, "is not UTF-8")
    except msgspec.ValidationError as error:
        message = str(error)
        place = _AT.search(message)
        if "missing required field" in message:
            return Refusal(message.split("`")[1], "is missing")
        text = message[: place.start()] if place else message
        return Refusal(place.group(1) if place else None, text[0].lower() + text[1:])
    except msgspec.DecodeError as error:
        return Refusal(None, "is not UTF-8" if "UTF-8" in str(error) else "is not JSON")
