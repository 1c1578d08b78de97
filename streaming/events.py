"""The contract of every message: one frozen pydantic model per event.

This is the only place that declares an event's fields. The message parser (`streaming.parse`), the
lake's schemas (`streaming.tables`), the dbt sources and the API's request bodies are derived from it or
tested against it.

Readers are lenient about what they do not know and strict about what they do: unknown fields on a
topic are ignored (an old reader reads a new event), a known field of the wrong type or range is an error.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = 1
"""Highest `schema_version` this code understands. A change that an old reader cannot read raises it."""

MAX_FUTURE: Final = timedelta(minutes=5)
"""How far a client's clock may run ahead; later is a dead letter, because one event of the year 2099
would hold every window open."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Nothing was played before; a year 0001 is a client's empty date."""

EVENT_NAMESPACE: Final = uuid.UUID("6f4f6d75-7369-5c63-8f0e-0d6576656e74")
"""Namespace of the UUIDv5 that stands in for a missing `event_id`."""

_NO_CONTROL: Final = r"^[^\x00-\x1f\x7f]+$"

Identifier = Annotated[str, Field(min_length=1, max_length=128, pattern=_NO_CONTROL)]
"""An opaque id: 1 to 128 characters, none of them a control character (PostgreSQL cannot hold NUL)."""

Text = Annotated[str, Field(min_length=1, max_length=512, pattern=_NO_CONTROL)]
"""A short text for people: 1 to 512 characters on one line."""

ItemId = Annotated[str, Field(min_length=1, max_length=200, pattern=_NO_CONTROL)]
"""`track:ID`, `artist:ID` or `album:ID`; a bare ID is a track."""

Rating = Annotated[float, Field(ge=0, le=5)]
Milliseconds = Annotated[int, Field(ge=0, le=86_400_000)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class EventType(StrEnum):
    """What a listener did; the value decides the topic."""

    VIEW = "view"
    CLICK = "click"
    RATING = "rating"
    LISTEN = "listen"


class ItemKind(StrEnum):
    """Prefix of an item id."""

    TRACK = "track"
    ARTIST = "artist"
    ALBUM = "album"


class Event(BaseModel):
    """What every listening event carries, as a client sends it and as a topic holds it.

    On a topic `user_id` is the random listener id that the API gave; a client's own id never gets there.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    event_id: Identifier | None = Field(
        None,
        description="Identity: sent again, it is a duplicate. Default: UUIDv5 of the four fields below.",
    )
    user_id: Identifier = Field(description="Who; on a topic the listener id.")
    event_type: EventType = Field(description="What was done.")
    item_id: ItemId = Field(description="With what: `track:ID`, `artist:ID`, `album:ID`; a bare ID is a track.")
    timestamp: AwareDatetime = Field(description="When, ISO 8601 with zone, at most 5 minutes ahead.")
    rating: Rating | None = Field(None, description="0 to 5.")
    ms_played: Milliseconds | None = Field(None, description="How long it played, in milliseconds, at most a day.")
    source: Identifier | None = Field(None, description="Which client or import, such as `web` or `simulated`.")
    context: Text | None = Field(None, description="Where it happened, such as a playlist or a page.")
    recommendation_id: Identifier | None = Field(None, description="The recommendation that led here.")
    schema_version: Version = Field(SCHEMA_VERSION, description="Version of this contract.")


class ViewEvent(Event):
    """A listener saw an item's page."""


class ClickEvent(Event):
    """A listener chose an item from a list."""


class RatingEvent(Event):
    """A listener rated an item."""

    rating: Rating = Field(description="0 to 5.")


class ListenEvent(Event):
    """A listener played an item."""


class CatalogRecord(BaseModel):
    """What every catalogue message carries: the last one of an item id wins."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    item_id: ItemId = Field(description="The item, with its kind.")
    name: Text = Field(description="Name or title as shown.")
    source: Identifier | None = Field(None, description="Where the record comes from.")
    updated_at: AwareDatetime | None = Field(None, description="When the source last changed it.")
    schema_version: Version = Field(SCHEMA_VERSION, description="Version of this contract.")


class ArtistRecord(CatalogRecord):
    """An artist."""

    genre: Text | None = Field(None, description="Main genre.")
    country: Text | None = Field(None, description="Country of origin.")


class AlbumRecord(CatalogRecord):
    """An album."""

    artist_id: ItemId | None = Field(None, description="Main artist.")
    release_date: Text | None = Field(None, description="`YYYY`, `YYYY-MM` or `YYYY-MM-DD`.")


class SongRecord(CatalogRecord):
    """A track."""

    artist_id: ItemId | None = Field(None, description="Main artist.")
    album_id: ItemId | None = Field(None, description="Album it is on.")
    duration_ms: Milliseconds | None = Field(None, description="Length in milliseconds.")
    genre: Text | None = Field(None, description="Main genre.")


class RecommendationEvent(BaseModel):
    """What was shown to whom: one message per answer, its items in order of rank."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    event_id: Identifier = Field(description="Identity of the exposure, the `recommendation_id` of what follows.")
    user_id: Identifier = Field(description="The listener id it was shown to.")
    timestamp: AwareDatetime = Field(description="When it was shown.")
    model_version: Identifier = Field(description="Bundle that ranked it.")
    rung: Identifier = Field(description="Step of the fallback ladder: personal, trending, popular.")
    item_ids: list[ItemId] = Field(min_length=1, max_length=200, description="Items in order of rank.")
    sources: list[Identifier] = Field(max_length=200, description="Candidate source of each item, in the same order.")
    reasons: list[Text] = Field(max_length=200, description="Reason given for each item, in the same order.")
    context: Text | None = Field(None, description="Where it was shown.")
    schema_version: Version = Field(SCHEMA_VERSION, description="Version of this contract.")


EVENT_MODELS: Final[dict[EventType, type[Event]]] = {
    EventType.VIEW: ViewEvent,
    EventType.CLICK: ClickEvent,
    EventType.RATING: RatingEvent,
    EventType.LISTEN: ListenEvent,
}

Message = Event | CatalogRecord | RecommendationEvent
MODELS: Final[dict[str, type[Message]]] = {
    model.__name__: model
    for model in (
        ViewEvent, ClickEvent, RatingEvent, ListenEvent, ArtistRecord, AlbumRecord, SongRecord, RecommendationEvent,
    )
}  # fmt: skip
"""Every model by the name that a topic's file uses."""


def normalise_item_id(item_id: str) -> str:
    """Return `kind:ID` for an item id as a client writes it.

    Raises:
        ValueError: the prefix is no known kind, or nothing follows it.
    """
    kind, colon, rest = item_id.partition(":")
    if not colon:
        return f"{ItemKind.TRACK}:{item_id}"
    if kind not in ItemKind.__members__.values() or not rest.strip():
        raise ValueError(f"item_id must be track:ID, artist:ID, album:ID or a bare track ID, not {item_id[:60]!r}")
    return item_id


def derive_event_id(user_id: str, event_type: str, item_id: str, timestamp: datetime) -> str:
    """Return the UUIDv5 of the four fields that identify an event without an id of its own.

    The item id counts with its kind and the time in UTC to the microsecond, so that two spellings of the
    same event are the same event.
    """
    moment = timestamp.astimezone(UTC).isoformat(timespec="microseconds")
    name = "\x1f".join((user_id, event_type, normalise_item_id(item_id), moment))
    return str(uuid.uuid5(EVENT_NAMESPACE, name))


def check_time(timestamp: datetime, now: datetime) -> None:
    """Check that an event's time is plausible at `now`.

    Raises:
        ValueError: it lies before 1970 or more than `MAX_FUTURE` ahead.
    """
    if timestamp < EARLIEST:
        raise ValueError("timestamp must not lie before 1970-01-01T00:00:00Z")
    if timestamp > now + MAX_FUTURE:
        raise ValueError("timestamp must not lie more than 5 minutes in the future")
