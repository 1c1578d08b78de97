"""The one parser of messages: bytes in, a row or a rejection out, in plain Python for every engine.

What is valid is decided by one decode into a type made from the pydantic models (`streaming.structs`); only a
refused message is looked at again, field by field, to say why. A field that no model knows is skipped, whatever it
holds, as long as the whole is JSON. What each kind of broken message becomes: `docs/messages.md`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from streaming.events import (
    EARLIEST,
    FIRST_VERSION,
    MAX_FUTURE,
    MAX_ITEM_ID,
    NO_CONTROL,
    EventType,
    Message,
    RecommendationEvent,
    derive_event_id,
    normalise_item_id,
)
from streaming.nesting import MAX_DEPTH, too_deep
from streaming.structs import struct_of, times_of
from streaming.topics import topics

if TYPE_CHECKING:
    from streaming.topics import Topic

MAX_BYTES: Final = 256 * 1024
"""Largest message that is looked into: 200 items with their reasons fit in a fifth of it."""


class Reason(StrEnum):
    """Why a message is a dead letter."""

    EMPTY_MESSAGE = "empty_message"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    MALFORMED_JSON = "malformed_json"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    BAD_FORMAT = "bad_format"
    FUTURE_TIME = "future_time"
    WRONG_TOPIC = "wrong_topic"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    UNKNOWN_SCHEMA_VERSION = "unknown_schema_version"
    EVENT_ID_OF_ANOTHER_LISTENER = "event_id_of_another_listener"


class Rejection(NamedTuple):
    """Why a message breaks its contract: the reason, the field if one is to blame, and a sentence.

    The sentence never quotes a value: dead letters are read by people who may not see what a listener did.
    """

    reason: Reason
    field: str | None
    detail: str


Row = dict[str, Any]
"""A valid message: the model's fields in order, times in UTC, `event_id` given and `item_id` with its kind."""

_Fields = dict[str, msgspec.Raw]


def parse(topic: str, value: bytes | None, *, now: datetime) -> Row | Rejection:
    """Read one message of a topic.

    Args:
        topic: name of a registered topic.
        value: the message as it came.
        now: the time against which `future_time` is judged, with a zone.

    Returns:
        The row for silver, or why there is none. Never raises for any bytes.
    """
    return _readers()[topic].read(value, now)


@cache
def _readers() -> dict[str, Reader]:
    return {name: Reader(topic) for name, topic in topics().items()}


class Reader:
    """Reads one topic's messages of every version its file lists, each by the contract of its own version.

    Rows have the fields of the newest version; what an older one did not know is None.
    """

    def __init__(self, topic: Topic) -> None:
        self._contracts = {
            version: _Contract(model, event_type=topic.event_type) for version, model in topic.models.items()
        }
        self._newest = max(topic.versions)
        self._contract = self._contracts[self._newest]

    def read(self, value: bytes | None, now: datetime) -> Row | Rejection:
        """Return the row of a message, or why there is none."""
        if not value:
            return Rejection(Reason.EMPTY_MESSAGE, None, "the message has no value")
        if len(value) > MAX_BYTES:
            return Rejection(Reason.TOO_LARGE, None, f"the message has {len(value)} bytes, more than {MAX_BYTES}")
        if (b"[" in value or value.rfind(b"{") > 0) and too_deep(value):
            return Rejection(Reason.MALFORMED_JSON, None, f"the message is nested more than {MAX_DEPTH} deep")
        try:
            # Decoding first finds bad bytes also where the JSON decoder skips what it does not know.
            text = value.decode()
            row = self._contract.decode(text)
        except UnicodeDecodeError:
            return Rejection(Reason.NOT_UTF8, None, "the message is not UTF-8")
        except msgspec.DecodeError:
            return self._look_again(text, now)
        if row["schema_version"] != self._newest:
            return self._look_again(text, now)
        return self._contract.judge(row, now)

    def _look_again(self, text: str, now: datetime) -> Row | Rejection:
        """Read by the version that the message names, and say why where it is refused."""
        try:
            fields = _FIELDS.decode(text)
        except msgspec.DecodeError as error:
            return _no_object(text, error)
        version = _version(fields)
        if version is not None and version not in self._contracts:
            valid = ", ".join(str(each) for each in self._contracts)
            return Rejection(Reason.UNKNOWN_SCHEMA_VERSION, "schema_version", f"schema_version must be one of {valid}")
        row = self._contracts[version or self._newest].examine(fields, now)
        if isinstance(row, Rejection) or version == self._newest:
            return row
        return {name: row.get(name) for name in self._contract.names}


class _Contract:
    """One version of one message."""

    def __init__(self, model: type[Message], *, event_type: EventType | None) -> None:
        struct = struct_of(model)
        self._decoder = msgspec.json.Decoder(struct)
        self._plain = msgspec.json.Decoder(struct_of(model, ignore=NO_CONTROL))
        self._fields = msgspec.structs.fields(struct)
        self._decoders = {field.name: msgspec.json.Decoder(field.type) for field in self._fields}
        self._event_type = event_type
        self._times = times_of(model)
        self._parallel = model.ONE_PER_ITEM if issubclass(model, RecommendationEvent) else ()
        self.names = list(model.model_fields)

    def decode(self, text: str) -> Row:
        # JSON cannot hold a control character without a backslash, but for DEL; looking for it in every string
        # costs as much as all the rest.
        escapes = "\\" in text or "\x7f" in text
        return msgspec.structs.asdict((self._decoder if escapes else self._plain).decode(text))

    def examine(self, fields: _Fields, now: datetime) -> Row | Rejection:
        """Read the fields one by one; a key given twice may still be valid, because the last one holds."""
        if self._event_type is not None and (kind := _text(fields.get("event_type"))) is not None:
            if kind not in EventType.__members__.values():
                valid = ", ".join(EventType)
                return Rejection(Reason.UNKNOWN_EVENT_TYPE, "event_type", f"event_type must be one of {valid}")
            if kind != self._event_type:
                return _wrong_topic(EventType(kind))
        row: Row = {}
        for field in self._fields:
            name = field.name
            if name in fields:
                decoder = self._decoders[name]
                try:
                    row[name] = decoder.decode(fields[name])
                except msgspec.DecodeError as error:
                    return Rejection(_reason(str(error), decoder), name, f"{name}: {error}")
            elif field.required:
                return Rejection(Reason.MISSING_FIELD, name, f"{name} is missing")
            else:
                row[name] = field.default
        return self.judge(row, now)

    def judge(self, row: Row, now: datetime) -> Row | Rejection:
        """Complete a row of the right types, or say what is wrong with its values."""
        if self._event_type is not None and row["event_type"] is not self._event_type:
            return _wrong_topic(row["event_type"])
        for name in self._times:
            if row[name] is not None:
                moment = _in_utc(row[name])
                if moment < EARLIEST:
                    return Rejection(Reason.OUT_OF_RANGE, name, f"{name} lies before 1970")
                if moment > now and moment > now + MAX_FUTURE:
                    return Rejection(Reason.FUTURE_TIME, name, f"{name} lies more than 5 minutes in the future")
                row[name] = moment
        return _complete_item(row) if "item_id" in row else self._complete_items(row)

    def _complete_items(self, row: Row) -> Row | Rejection:
        items = row["item_ids"]
        for name in self._parallel:
            if row[name] is not None and len(row[name]) != len(items):
                return Rejection(Reason.OUT_OF_RANGE, name, f"{name} must have as many entries as item_ids")
        try:
            row["item_ids"] = [normalise_item_id(item) for item in items]
        except ValueError:
            return _no_item("item_ids")
        if max(map(len, row["item_ids"])) > MAX_ITEM_ID:
            return _long_item("item_ids")
        return row


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        # UTC has no such year: what is meant lies beyond either end of the calendar, and so does this.
        return moment.replace(tzinfo=UTC)


def _complete_item(row: Row) -> Row | Rejection:
    try:
        item = normalise_item_id(row["item_id"])
    except ValueError:
        return _no_item("item_id")
    if len(item) > MAX_ITEM_ID:
        return _long_item("item_id")
    row["item_id"] = item
    # Only an event may come without an id of its own; the catalogue has none.
    if row.get("event_id", "") is None:
        row["event_id"] = derive_event_id(row["user_id"], row["event_type"], item, row["timestamp"])
    return row


def _no_item(name: str) -> Rejection:
    return Rejection(Reason.BAD_FORMAT, name, f"{name} must be track:ID, artist:ID, album:ID or a bare track ID")


def _long_item(name: str) -> Rejection:
    return Rejection(Reason.OUT_OF_RANGE, name, f"{name} must have at most {MAX_ITEM_ID} characters with its kind")


def _wrong_topic(kind: EventType) -> Rejection:
    return Rejection(Reason.WRONG_TOPIC, "event_type", f"events of type {kind.value} belong to another topic")


_FIELDS: Final = msgspec.json.Decoder(_Fields)
_WHOLE: Final = msgspec.json.Decoder(msgspec.Raw)
_NUMBER: Final = msgspec.json.Decoder(int)
_STRING: Final = msgspec.json.Decoder(str)


def _no_object(text: str, error: msgspec.DecodeError) -> Rejection:
    try:
        # The decoder stops at the first byte of what is no object; the rest may not even be JSON.
        _WHOLE.decode(text)
    except msgspec.DecodeError as cause:
        return Rejection(Reason.MALFORMED_JSON, None, f"the message is not JSON: {cause}")
    if not isinstance(error, msgspec.ValidationError):
        return Rejection(Reason.MALFORMED_JSON, None, f"the message is not JSON: {error}")
    return Rejection(Reason.NOT_AN_OBJECT, None, "the message is JSON, but not an object")


def _version(fields: _Fields) -> int | None:
    """The version a message names, if it is one."""
    if "schema_version" not in fields:
        return FIRST_VERSION
    try:
        version = _NUMBER.decode(fields["schema_version"])
    except msgspec.DecodeError:
        return None
    return version if version >= FIRST_VERSION else None


def _text(raw: msgspec.Raw | None) -> str | None:
    try:
        return None if raw is None else _STRING.decode(raw)
    except msgspec.DecodeError:
        return None


def _reason(message: str, decoder: msgspec.json.Decoder[Any]) -> Reason:
    if message.startswith("Number out of range"):
        # Found before its type: no float can hold it, but perhaps the field takes no number at all.
        try:
            decoder.decode(b"0.0")
        except msgspec.DecodeError as error:
            message = str(error)
    if ", got `" in message:
        return Reason.WRONG_TYPE
    if "matching regex" in message or "RFC3339" in message or "timezone" in message:
        return Reason.BAD_FORMAT
    return Reason.OUT_OF_RANGE
