"""The contract of every message: one frozen pydantic model per event.

This is the only place that declares an event's fields. The message parser (`streaming.parse`), the
lake's schemas (`streaming.tables`), the dbt sources and the API's request bodies are derived from it or
tested against it.

Readers are lenient about what they do not know and strict about what they do: unknown fields on a
topic are ignored (an old reader reads a new event), a known field of the wrong type or range is an error.
How a contract may change, and when its version rises: `docs/decisions/0020-versions-of-a-message.md`.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

FIRST_VERSION: Final = 1
"""What a message without `schema_version` is, for ever: a later reader must not take it for a later version."""

MAX_FUTURE: Final = timedelta(minutes=5)
"""How far a client's clock may run ahead; later is a dead letter, because one event of the year 2099
would hold every window open."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Nothing was played before; a year 0001 is a client's empty date."""

EVENT_NAMESPACE: Final = uuid.UUID("6f4f6d75-7369-5c63-8f0e-0d6576656e74")
"""Namespace of the UUIDv5 that stands in for a missing `event_id`."""

MAX_ITEM_ID: Final = 200
"""Characters of an item id with its kind; a bare one must leave room for it."""

NO_CONTROL: Final = r"^[^\x00-\x1f\x7f]+$"
_ID: Final = r"[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*"
"""One line that is not blank."""

Identifier = Annotated[str, Field(min_length=1, max_length=128, pattern=NO_CONTROL)]
"""An opaque id: 1 to 128 characters, none of them an ASCII control character (PostgreSQL cannot hold NUL)."""

Text = Annotated[str, Field(min_length=1, max_length=512, pattern=NO_CONTROL)]
"""A short text for people: 1 to 512 characters, none of them an ASCII control character."""

ItemId = Annotated[str, Field(min_length=1, max_length=MAX_ITEM_ID, pattern=NO_CONTROL)]
"""`track:ID`, `artist:ID` or `album:ID`; a bare ID is a track."""

ArtistId = Annotated[str, Field(max_length=MAX_ITEM_ID, pattern=f"^artist:{_ID}$")]
AlbumId = Annotated[str, Field(max_length=MAX_ITEM_ID, pattern=f"^album:{_ID}$")]
TrackId = Annotated[str, Field(max_length=MAX_ITEM_ID, pattern=f"^(?:track:{_ID}|[^:\\x00-\\x1f\\x7f]+)$")]
"""`track:ID` or a bare ID."""

Rating = Annotated[float, Field(ge=0, le=5)]
Propensity = Annotated[float, Field(gt=0, le=1)]
"""The probability with which what happened was chosen; what has none cannot happen."""

Propensities = Annotated[list[Propensity], Field(max_length=200)]

Milliseconds = Annotated[int, Field(ge=0, le=86_400_000)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]

_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])"
)


def _from_rfc3339(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        return datetime.fromisoformat(value.upper())
    raise ValueError("must be RFC 3339 with zone, such as 2024-01-01T00:00:00Z")


Timestamp = Annotated[AwareDatetime, BeforeValidator(_from_rfc3339)]
"""RFC 3339 with zone and seconds. pydantic alone would also read `1767225600` as seconds or, if that looks likelier,
as milliseconds."""


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
    timestamp: Timestamp = Field(description="When, ISO 8601 with zone, at most 5 minutes ahead.")
    rating: Rating | None = Field(None, description="0 to 5.")
    ms_played: Milliseconds | None = Field(None, description="How long it played, in milliseconds, at most a day.")
    source: Identifier | None = Field(None, description="Which client or import, such as `web` or `simulated`.")
    context: Text | None = Field(None, description="Where it happened, such as a playlist or a page.")
    recommendation_id: Identifier | None = Field(None, description="The recommendation that led here.")
    schema_version: Version = Field(FIRST_VERSION, description="Version of this contract.")


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
    updated_at: Timestamp | None = Field(None, description="When the source last changed it.")
    schema_version: Version = Field(FIRST_VERSION, description="Version of this contract.")


class ArtistRecord(CatalogRecord):
    """An artist."""

    item_id: ArtistId = Field(description="The artist, with its kind.")
    genre: Text | None = Field(None, description="Main genre.")
    country: Text | None = Field(None, description="Country of origin.")


class AlbumRecord(CatalogRecord):
    """An album."""

    item_id: AlbumId = Field(description="The album, with its kind.")
    artist_id: ArtistId | None = Field(None, description="Main artist.")
    release_date: Text | None = Field(None, description="`YYYY`, `YYYY-MM` or `YYYY-MM-DD`.")


class SongRecord(CatalogRecord):
    """A track."""

    item_id: TrackId = Field(description="The track; its kind may be left out.")
    artist_id: ArtistId | None = Field(None, description="Main artist.")
    album_id: AlbumId | None = Field(None, description="Album it is on.")
    duration_ms: Milliseconds | None = Field(None, description="Length in milliseconds.")
    genre: Text | None = Field(None, description="Main genre.")


class RecommendationEvent(BaseModel):
    """What was shown to whom: one message per answer, its items in order of rank."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    event_id: Identifier = Field(description="Identity of the exposure, the `recommendation_id` of what follows.")
    user_id: Identifier = Field(description="The listener id it was shown to.")
    timestamp: Timestamp = Field(description="When it was shown.")
    model_version: Identifier = Field(description="Bundle that ranked it.")
    rung: Identifier = Field(description="Step of the fallback ladder: personal, trending, popular.")
    item_ids: list[ItemId] = Field(min_length=1, max_length=200, description="Items in order of rank.")
    sources: list[Identifier] = Field(max_length=200, description="Candidate source of each item, in the same order.")
    reasons: list[Text] = Field(max_length=200, description="Reason given for each item, in the same order.")
    context: Text | None = Field(None, description="Where it was shown.")
    experiment: Identifier | None = Field(None, description="Experiment that the listener takes part in.")
    arm: Identifier | None = Field(None, description="Their arm of it: champion, challenger, shadow.")
    propensities: Propensities | None = Field(
        None,
        description="Probability with which each item got its place, in the same order; absent without exploration.",
    )
    schema_version: Version = Field(FIRST_VERSION, description="Version of this contract.")

    ONE_PER_ITEM: ClassVar[tuple[str, ...]] = ("sources", "reasons", "propensities")
    """Lists whose entries belong to the items of the same place: a shorter one could not be told apart from a shift."""

    @model_validator(mode="after")
    def _lists_match(self) -> RecommendationEvent:
        for name in self.ONE_PER_ITEM:
            entries = getattr(self, name)
            if entries is not None and len(entries) != len(self.item_ids):
                raise ValueError(f"{name} must have as many entries as item_ids")
        return self


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


_KINDS: Final = frozenset(kind.value for kind in ItemKind)


def normalise_item_id(item_id: str) -> str:
    """Return `kind:ID` for an item id as a client writes it.

    Raises:
        ValueError: the prefix is no known kind, or the ID is blank.
    """
    kind, colon, rest = item_id.partition(":")
    if not colon:
        if not item_id.strip():
            raise ValueError("item_id must not be blank")
        return f"{ItemKind.TRACK.value}:{item_id}"
    if kind not in _KINDS or not rest.strip():
        raise ValueError(f"item_id must be track:ID, artist:ID, album:ID or a bare track ID, not {item_id[:60]!r}")
    return item_id


def derive_event_id(user_id: str, event_type: str, item_id: str, timestamp: datetime) -> str:
    """Return the UUIDv5 of the four fields that identify an event without an id of its own.

    The item id counts with its kind and the time in UTC to the microsecond, so that two spellings of the
    same event are the same event.
    """
    moment = timestamp.astimezone(UTC).isoformat(timespec="microseconds")
    name = "\x1f".join((user_id, event_type, normalise_item_id(item_id), moment))
    # As uuid.uuid5 does it, in half the time: this runs for every event without an id.
    text = hashlib.sha1(EVENT_NAMESPACE.bytes + name.encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:32]}"


def check_time(timestamp: datetime, now: datetime) -> None:
    """Check that an event's time is plausible at `now`.

    Raises:
        ValueError: it lies before 1970 or more than `MAX_FUTURE` ahead.
    """
    if timestamp < EARLIEST:
        raise ValueError("timestamp must not lie before 1970-01-01T00:00:00Z")
    if timestamp > now + MAX_FUTURE:
        raise ValueError("timestamp must not lie more than 5 minutes in the future")
