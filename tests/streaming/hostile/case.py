"""A hostile message, and what must become of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from streaming.topics import topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streaming.parse import Reason

NOW: Final = datetime(2026, 6, 1, tzinfo=UTC)

MARK: Final = "s3cr3t"
"""Part of every value of a listener: no rejection may repeat it."""


@dataclass(frozen=True)
class Case:
    """One message.

    Attributes:
        name: unique within its topic; the event id or the item id of what is good.
        topic: where it is sent.
        value: its bytes; None: a tombstone.
        reason: why it must be refused; None: it is good.
        blamed: the field that is wrong.
        holds: values that a good one's row must have.
        key: its Kafka key.
        fate: what silver makes of a good one, if not a row: `duplicate`, `deleted` or a reason.
        by_clock: it is refused only as long as the clock says `NOW`.
    """

    name: str
    topic: str
    value: bytes | None
    reason: Reason | None = None
    blamed: str | None = None
    holds: dict[str, Any] = field(default_factory=dict)
    key: bytes | None = b"key"
    fate: str = ""
    by_clock: bool = False

    def __str__(self) -> str:
        return f"{self.topic}/{self.name}"


def base(topic: str, name: str) -> dict[str, Any]:
    """A good message whose identity is its name."""
    if topic == "music_recommendations":
        return {
            "event_id": name, "user_id": f"{MARK}-listener", "timestamp": "2026-01-01T00:00:00Z", "rung": "personal",
            "model_version": "m", "item_ids": ["track:1", "2"], "sources": ["a", "b"], "reasons": ["because", "why"],
        }  # fmt: skip
    kind = {"catalog_artists": "artist", "catalog_albums": "album", "catalog_songs": "track"}.get(topic)
    if kind is not None:
        return {"item_id": f"{kind}:{name}"[:200], "name": "Ágætis byrjun"}
    rating = {"rating": 3} if topic == "events_ratings" else {}
    return {
        "event_id": name, "user_id": f"{MARK}-listener", "item_id": "track:1", "timestamp": "2026-01-01T00:00:00Z",
        "event_type": topics()[topic].event_type.value, **rating,  # type: ignore[union-attr]
    }  # fmt: skip


def encode(message: Any) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()


def spliced(topic: str, name: str, *fragments: bytes) -> bytes:
    """A good message with more members, written as they are: a key given twice, numbers no encoder writes."""
    return b"".join([encode(base(topic, name))[:-1], *(b"," + fragment for fragment in fragments), b"}"])


Expected = tuple[bytes, "Reason | None", "str | None"]
"""Members to add to a good message, the reason to refuse it for, the field to blame."""


def cases_of(topic: str, expected: Mapping[str, Expected]) -> Iterator[Case]:
    """Good messages with more members."""
    for name, (fragment, reason, blamed) in expected.items():
        yield Case(name, topic, spliced(topic, name, fragment), reason, blamed if reason else None)
