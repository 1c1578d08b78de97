"""What the API accepts of an event: the contract of `streaming.events`, held strictly.

Readers of a topic ignore fields they do not know; here an unknown field is a typing error that would lose what its
sender meant, so it is refused while the sender is still listening.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple, TypeVar, cast

import msgspec
from pydantic import (
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails

from streaming import events
from streaming.errors import ContractError
from streaming.events import (
    EARLIEST,
    MAX_FUTURE,
    MAX_ITEM_ID,
    Event,
    EventType,
    ItemKind,
    check_time,
    normalise_item_id,
)
from streaming.outgoing import SENT, Sent
from streaming.topics import event_topic

T = TypeVar("T")

MAX_BATCH: Final = 1000
"""Most events of one request."""

_STARTS_AS_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d")
_QUOTED: Final = 60
"""Characters of a client's own text that an answer quotes."""


def _only_iso(value: Any) -> Any:
    if not isinstance(value, str) or not _STARTS_AS_DATE.match(value):
        raise ValueError("must be ISO 8601 with zone, such as 2024-01-01T00:00:00Z")
    return value


Timestamp = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_only_iso)]
"""Only ISO 8601: a number would be read as seconds or milliseconds, whichever looks likelier."""


class ViewEventIn(events.ViewEvent):
    """A listener saw an item's page."""

    model_config = ConfigDict(extra="forbid", strict=True)
    event_type: EventType = Field(description="What was done.", json_schema_extra={"const": "view"})
    timestamp: Timestamp = Field(description="When, ISO 8601 with zone, at most 5 minutes ahead.")


class ClickEventIn(events.ClickEvent):
    """A listener chose an item from a list."""

    model_config = ConfigDict(extra="forbid", strict=True)
    event_type: EventType = Field(description="What was done.", json_schema_extra={"const": "click"})
    timestamp: Timestamp = Field(description="When, ISO 8601 with zone, at most 5 minutes ahead.")


class RatingEventIn(events.RatingEvent):
    """A listener rated an item."""

    model_config = ConfigDict(extra="forbid", strict=True)
    event_type: EventType = Field(description="What was done.", json_schema_extra={"const": "rating"})
    timestamp: Timestamp = Field(description="When, ISO 8601 with zone, at most 5 minutes ahead.")


class ListenEventIn(events.ListenEvent):
    """A listener played an item."""

    model_config = ConfigDict(extra="forbid", strict=True)
    event_type: EventType = Field(description="What was done.", json_schema_extra={"const": "listen"})
    timestamp: Timestamp = Field(description="When, ISO 8601 with zone, at most 5 minutes ahead.")


def _event_type(value: Any) -> str | None:
    kind = value.get("event_type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else None


EventIn = Annotated[
    Annotated[ViewEventIn, Tag("view")]
    | Annotated[ClickEventIn, Tag("click")]
    | Annotated[RatingEventIn, Tag("rating")]
    | Annotated[ListenEventIn, Tag("listen")],
    Discriminator(_event_type),
]
ADAPTER: Final[TypeAdapter[ViewEventIn | ClickEventIn | RatingEventIn | ListenEventIn]] = TypeAdapter(EventIn)

_SPLITTER: Final = msgspec.json.Decoder(list[msgspec.Raw])
_decode_one: Final = cast("Callable[[bytes], Sent]", msgspec.json.Decoder(SENT).decode)
_decode_many: Final[Callable[[bytes], list[Sent]]] = msgspec.json.Decoder(list[SENT]).decode  # type: ignore[valid-type]
_KINDS: Final = tuple(f"{kind.value}:" for kind in ItemKind)
_FINE: Final = re.compile(rb"\.[0-9]{7}")


class Refusal(NamedTuple):
    """Why an event is rejected: the field if one is to blame, a sentence, and what would be valid."""

    field: str | None
    error: str
    valid: list[str] | None


def read_body(body: bytes, now: datetime) -> list[Sent | Refusal]:
    """Return the event, or the events of an array, each with its item's kind, or why it is rejected.

    Raises:
        ContractError: it is not JSON, or not 1 to `MAX_BATCH` events.
    """
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        return [read(body, now)]
    if not _is_doubtful(body):
        with suppress(msgspec.MsgspecError, RecursionError):
            events, latest = _decode_many(body), now + MAX_FUTURE
            if 1 <= len(events) <= MAX_BATCH and all(_is_complete(event, latest) for event in events):
                return list(events)
    return [read(part, now) for part in _batch(_split(body))]


def read_lines(body: bytes, now: datetime) -> list[Sent | Refusal]:
    """Return the events of a body of one event a line; empty lines say nothing.

    Raises:
        ContractError: it is not 1 to `MAX_BATCH` events.
    """
    return [read(line, now) for line in _batch([line for line in body.split(b"\n") if line.strip()])]


def read(part: bytes | msgspec.Raw, now: datetime) -> Sent | Refusal:
    """Return an event with its item's kind, or why it is rejected."""
    text = bytes(part)
    if not _is_doubtful(text):
        with suppress(msgspec.MsgspecError, RecursionError):
            event = _decode_one(text)
            if _is_complete(event, now + MAX_FUTURE):
                return event
    return _examine(text, now)


def _is_doubtful(text: bytes) -> bool:
    """Whether the quick reader might take something otherwise than the careful one does.

    Without an escape or DEL there is no control character in a text of JSON; a time finer than microseconds is rounded
    by one and cut off by the other.
    """
    return b"\\" in text or b"\x7f" in text or _FINE.search(text) is not None


def _split(body: bytes) -> list[msgspec.Raw]:
    """Cut an array into its events, each still JSON."""
    try:
        return _SPLITTER.decode(body)
    except RecursionError as error:
        raise ContractError("malformed_json", None, "the body is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise ContractError("malformed_json", None, f"the body is not JSON: {error}") from error


def _batch(parts: Sequence[T]) -> Sequence[T]:
    if not 1 <= len(parts) <= MAX_BATCH:
        raise ContractError("batch_size", None, f"a batch must hold 1 to {MAX_BATCH} events, not {len(parts)}")
    return parts


def _is_complete(event: Sent, latest: datetime) -> bool:
    """Give an event its item's kind; False if there is anything about it that must be looked at closely."""
    kind, item_id = event.event_type, event.item_id
    if not EARLIEST <= event.timestamp <= latest or event.schema_version not in event_topic(kind).versions:
        return False
    if kind is EventType.RATING and event.rating is None:
        return False
    if item_id.startswith(_KINDS) and item_id[-1].isalnum():
        return True
    try:
        event.item_id = normalise_item_id(item_id)
    except ValueError:
        return False
    return len(event.item_id) <= MAX_ITEM_ID


def _examine(text: bytes, now: datetime) -> Sent | Refusal:
    """Read an event field by field, to say what is wrong with it."""
    try:
        event = ADAPTER.validate_json(text)
    except ValidationError as error:
        return _refusal(error.errors(include_url=False)[0])
    try:
        check_time(event.timestamp, now)
    except ValueError as error:
        return Refusal("timestamp", str(error), None)
    try:
        item_id = normalise_item_id(event.item_id)
    except ValueError as error:
        return Refusal("item_id", str(error), None)
    if len(item_id) > MAX_ITEM_ID:
        return Refusal("item_id", f"item_id must have at most {MAX_ITEM_ID} characters with its kind", None)
    if event.schema_version not in event_topic(event.event_type).versions:
        versions = [str(version) for version in event_topic(event.event_type).versions]
        return Refusal("schema_version", f"schema_version must be one of {', '.join(versions)}", versions)
    sent: Sent = SENT(**event.model_dump() | {"item_id": item_id})  # type: ignore[assignment]  # it has these fields
    return sent


def _refusal(error: ErrorDetails) -> Refusal:
    kind = error["type"]
    if kind == "json_invalid":
        return Refusal(None, f"the event is not JSON: {error['ctx']['error']}", None)
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _wrong_type(error["input"])
    field = str(error["loc"][1])[:_QUOTED] if len(error["loc"]) > 1 else None
    if kind == "extra_forbidden":
        valid = list(Event.model_fields)
        return Refusal(field, f"{field!r} is not a field of an event; valid: {', '.join(valid)}", valid)
    if kind == "missing":
        return Refusal(field, f"{field} is missing", None)
    message = str(error["ctx"]["error"]) if kind == "value_error" else error["msg"][0].lower() + error["msg"][1:]
    return Refusal(field, f"{field}: {message}", None)


def _wrong_type(given: Any) -> Refusal:
    if not isinstance(given, dict):
        return Refusal(None, "an event must be a JSON object", None)
    valid = [kind.value for kind in EventType]
    if "event_type" not in given:
        return Refusal("event_type", f"event_type is missing; valid: {', '.join(valid)}", valid)
    quoted = str(given["event_type"])[:_QUOTED]
    return Refusal("event_type", f"event_type must be one of {', '.join(valid)}, not {quoted!r}", valid)
