"""Messages on their way to a topic, in the one form that every sender gives them."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from streaming.events import derive_event_id
from streaming.topics import event_topic

if TYPE_CHECKING:
    from streaming.events import Event


class Outgoing(NamedTuple):
    """A message on its way: topic, key, value, and the event id that tells it from others."""

    topic: str
    key: str
    value: bytes
    event_id: str


def address(event: Event, listener_id: str) -> Outgoing:
    """Return the message of a client's event: in UTC, the listener id in place of the client's own user id."""
    event_id = event.event_id or derive_event_id(listener_id, event.event_type, event.item_id, event.timestamp)
    return encode(
        event.model_copy(
            update={"user_id": listener_id, "event_id": event_id, "timestamp": event.timestamp.astimezone(UTC)}
        )
    )


def encode(event: Event) -> Outgoing:
    """Return the message of an event that has all it needs: listener id, event id, its time in UTC."""
    topic = event_topic(event.event_type).name
    value = event.model_dump_json(exclude_none=True).encode()
    return Outgoing(topic, event.user_id, value, str(event.event_id))
