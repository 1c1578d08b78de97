"""Answers of ListenBrainz."""

from __future__ import annotations

import msgspec

from music_assets.sources.answers.reading import read, read_object
from music_assets.sources.http import Outcome, ShapeError


class AdditionalInfo(msgspec.Struct):
    """What the player that submitted a listen knew, in the player's own words."""

    recording_mbid: str | None = None
    duration_ms: int | float | str | None = None
    duration: int | float | str | None = None
    spotify_id: str | None = None


class Mapping(msgspec.Struct):
    """What ListenBrainz took the recording for."""

    recording_mbid: str | None = None
    artist_mbids: list[str] = []


class TrackMetadata(msgspec.Struct):
    """Names of a listen."""

    artist_name: str
    track_name: str
    release_name: str | None = None
    additional_info: AdditionalInfo | None = None
    mbid_mapping: Mapping | None = None


class Listen(msgspec.Struct):
    """One listen; `listened_at` in seconds since 1970."""

    listened_at: int
    track_metadata: TrackMetadata


class Payload(msgspec.Struct):
    """Listens, newest first."""

    listens: list[Listen]
    count: int


class _Answer(msgspec.Struct):
    payload: Payload


def judge(status: int, body: bytes) -> tuple[Outcome, str] | None:
    """Return what an error object says (`{"code": ..., "error": ...}`), None for an answer."""
    if status < 400:
        return None
    try:
        text = str(read_object(body).get("error", ""))
    except ShapeError:
        text = ""
    said = f"HTTP {status}, {text}"
    if status == 429:
        return Outcome.LIMITED, said
    return (Outcome.UNAVAILABLE if status >= 500 else Outcome.REFUSED), said


def listens(body: bytes) -> list[Listen]:
    """Parse a listener's listens.

    Raises:
        ShapeError: the answer has another shape.
    """
    try:
        return msgspec.convert(read(body), _Answer).payload.listens
    except msgspec.ValidationError as error:
        raise ShapeError(str(error)) from None
