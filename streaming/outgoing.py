"""Messages on their way to a topic, in the one form that every sender gives them."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from streaming.events import NO_CONTROL, Event, derive_event_id
from streaming.structs import struct_of
from streaming.topics import event_topic

if TYPE_CHECKING:
    from datetime import datetime

    from streaming.events import EventType


class Outgoing(NamedTuple):
    """A message on its way: topic, key, value, and the event id that tells it from others."""

    topic: str
    key: str
    value: bytes
    event_id: str


class Sent(Protocol):
    """An event as a client sent it, that may be completed: a struct with the fields of `Event`."""

    event_id: str | None
    user_id: str
    event_type: EventType
    item_id: str
    timestamp: datetime
    rating: float | None
    ms_played: int | None
    source: str | None
    schema_version: int


SENT: Final = struct_of(Event, ignore=NO_CONTROL, exact=True)
"""What a client may send, but for control characters in texts: its decoder holds everything else of `Event`."""

_value: Final = msgspec.json.Encoder().encode


def address(event: Sent, listener_id: str) -> Outgoing:
    """Return the message of a client's event: in UTC, the listener id in place of the client's own user id.

    The event itself becomes what is sent: it is made for one request and no copy of it.
    """
    event.user_id = listener_id
    if event.timestamp.tzinfo is not UTC:
        event.timestamp = event.timestamp.astimezone(UTC)
    if event.event_id is None:
        event.event_id = derive_event_id(listener_id, event.event_type, event.item_id, event.timestamp)
    return Outgoing(event_topic(event.event_type).name, listener_id, _value(event), event.event_id)


def encode(event: Event) -> Outgoing:
    """Return the message of an event that has all it needs: listener id, event id, its time in UTC."""
    topic = event_topic(event.event_type).name
    value = event.model_dump_json(exclude_none=True).encode()
    return Outgoing(topic, event.user_id, value, str(event.event_id))
