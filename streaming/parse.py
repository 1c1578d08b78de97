"""The one parser of messages: bytes in, a row or a rejection out, in plain Python for every engine.

The decoders are made from the pydantic models of `streaming.events`, so a field and its limits are declared
once. What is valid is decided by one decode; only a refused message is looked at again, to say why.
"""

from __future__ import annotations

import re
import types
import typing
from datetime import UTC, datetime
from enum import Enum, StrEnum
from functools import cache
from typing import Annotated, Any, Final, NamedTuple

import annotated_types
import msgspec
from pydantic import AwareDatetime
from pydantic.fields import FieldInfo

from streaming.events import EARLIEST, MAX_FUTURE, EventType, Message, derive_event_id, normalise_item_id
from streaming.topics import topics

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


def parse(topic: str, value: bytes | None, *, now: datetime) -> Row | Rejection:
    """Read one message of a topic.

    Args:
        topic: name of a registered topic.
        value: the message as it came.
        now: the time against which `future_time` is judged, with a zone.

    Returns:
        The row for silver, or why there is none. Never raises for any bytes.
    """
    if value is None or not value:
        return Rejection(Reason.EMPTY_MESSAGE, None, "the message has no value")
    if len(value) > MAX_BYTES:
        return Rejection(Reason.TOO_LARGE, None, f"the message has {len(value)} bytes; at most {MAX_BYTES} are read")
    return _readers()[topic].read(value, now)


class _Reader:
    """Decoder of one topic's messages."""

    def __init__(self, model: type[Message], *, versions: frozenset[int], event_type: EventType | None) -> None:
        self._struct = struct_of(model)
        self._decoder = msgspec.json.Decoder(self._struct)
        self._fields = msgspec.structs.fields(self._struct)
        self._versions = versions
        self._event_type = event_type
        self._times = [name for name, info in model.model_fields.items() if _is_time(info)]
        self._derives_id = self._event_type is not None

    def read(self, value: bytes, now: datetime) -> Row | Rejection:
        try:
            # Decoding first finds bad bytes also where the JSON decoder skips what it does not know.
            row = msgspec.structs.asdict(self._decoder.decode(value.decode()))
        except (ValueError, RecursionError):
            return self._second_look(value, now)
        return self._judge(row, now)

    def _judge(self, row: Row, now: datetime) -> Row | Rejection:
        if row["schema_version"] not in self._versions:
            return _unknown_version(self._versions)
        if self._event_type is not None and row["event_type"] is not self._event_type:
            return _wrong_topic(row["event_type"])
        for name in self._times:
            moment = row[name]
            if moment is None:
                continue
            if moment < EARLIEST:
                return Rejection(Reason.OUT_OF_RANGE, name, f"{name} lies before 1970")
            if moment > now + MAX_FUTURE:
                return Rejection(Reason.FUTURE_TIME, name, f"{name} lies more than 5 minutes in the future")
            row[name] = moment.astimezone(UTC)
        return self._complete(row)

    def _complete(self, row: Row) -> Row | Rejection:
        name = "item_id" if "item_id" in row else "item_ids"
        try:
            if name == "item_id":
                row[name] = normalise_item_id(row[name])
            else:
                row[name] = [normalise_item_id(item) for item in row[name]]
        except ValueError:
            return Rejection(
                Reason.BAD_FORMAT, name, f"{name} must be track:ID, artist:ID, album:ID or a bare track ID"
            )
        if self._derives_id and row["event_id"] is None:
            row["event_id"] = derive_event_id(row["user_id"], row["event_type"], row["item_id"], row["timestamp"])
        return row

    def _second_look(self, value: bytes, now: datetime) -> Row | Rejection:
        """Say why a message was refused; a key given twice may still make it valid, because the last one holds."""
        try:
            raw = msgspec.json.decode(value.decode())
        except UnicodeDecodeError:
            return Rejection(Reason.NOT_UTF8, None, "the message is not UTF-8")
        except RecursionError:
            return Rejection(Reason.MALFORMED_JSON, None, "the message is nested too deeply")
        except msgspec.ValidationError:
            return Rejection(Reason.OUT_OF_RANGE, None, "the message holds a number that no float can hold")
        except ValueError as error:
            return Rejection(Reason.MALFORMED_JSON, None, f"the message is not JSON: {error}")
        if not isinstance(raw, dict):
            return Rejection(Reason.NOT_AN_OBJECT, None, "the message is JSON, but not an object")
        return self._blame(raw) or self._convert(raw, now)

    def _convert(self, raw: Row, now: datetime) -> Row | Rejection:
        try:
            row = msgspec.structs.asdict(msgspec.convert(raw, self._struct))
        except msgspec.ValidationError as error:
            return Rejection(Reason.MALFORMED_JSON, None, f"the message cannot be read: {error}")
        return self._judge(row, now)

    def _blame(self, raw: Row) -> Rejection | None:
        version = raw.get("schema_version", 1)
        if type(version) is int and version >= 1 and version not in self._versions:
            return _unknown_version(self._versions)
        if self._event_type is not None and isinstance(kind := raw.get("event_type"), str):
            if kind not in EventType.__members__.values():
                valid = ", ".join(EventType)
                return Rejection(Reason.UNKNOWN_EVENT_TYPE, "event_type", f"event_type must be one of {valid}")
            if kind != self._event_type:
                return _wrong_topic(EventType(kind))
        for field in self._fields:
            rejection = _blame_field(field, raw)
            if rejection is not None:
                return rejection
        return None


def _unknown_version(versions: frozenset[int]) -> Rejection:
    valid = ", ".join(str(version) for version in sorted(versions))
    return Rejection(Reason.UNKNOWN_SCHEMA_VERSION, "schema_version", f"schema_version must be one of {valid}")


def _wrong_topic(kind: EventType) -> Rejection:
    return Rejection(Reason.WRONG_TOPIC, "event_type", f"events of type {kind.value} belong to another topic")


def _blame_field(field: msgspec.structs.FieldInfo, raw: Row) -> Rejection | None:
    if field.name not in raw:
        return Rejection(Reason.MISSING_FIELD, field.name, f"{field.name} is missing") if field.required else None
    try:
        msgspec.convert(raw[field.name], field.type)
    except msgspec.ValidationError as error:
        return Rejection(_reason(str(error)), field.name, f"{field.name}: {error}")
    return None


def _reason(message: str) -> Reason:
    if ", got `" in message:
        return Reason.WRONG_TYPE
    if "matching regex" in message or "RFC3339" in message or "timezone" in message or "Invalid enum" in message:
        return Reason.BAD_FORMAT
    return Reason.OUT_OF_RANGE


@cache
def _readers() -> dict[str, _Reader]:
    return {
        topic.name: _Reader(topic.model, versions=frozenset(topic.versions), event_type=topic.event_type)
        for topic in topics().values()
    }


def struct_of(model: type[Message]) -> type[msgspec.Struct]:
    """Return a msgspec struct with the fields, types and limits of a pydantic model."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, info in model.model_fields.items():
        kind = _field_type(info)
        fields.append((name, kind) if info.is_required() else (name, kind, info.default))
    # Left out where they have their defaults, so that an optional field added later changes no old hash.
    return msgspec.defstruct(model.__name__, fields, kw_only=True, gc=False, omit_defaults=True)


def _field_type(info: FieldInfo) -> Any:
    return _limited(_type_of(info.annotation), info.metadata)


def _type_of(annotation: Any) -> Any:
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        kind, *extra = typing.get_args(annotation)
        metadata = [item for part in extra for item in (part.metadata if isinstance(part, FieldInfo) else [part])]
        return _limited(_type_of(kind), metadata)
    if origin in {typing.Union, types.UnionType}:
        return typing.Union[tuple(_type_of(part) for part in typing.get_args(annotation))]  # noqa: UP007
    if origin is list:
        return list[_type_of(typing.get_args(annotation)[0])]  # type: ignore[misc]
    if annotation is AwareDatetime:
        return Annotated[datetime, msgspec.Meta(tz=True)]
    if annotation in {str, int, float, types.NoneType} or issubclass(annotation, Enum):
        return annotation
    raise TypeError(f"the parser has no type for {annotation!r}")


def _limited(kind: Any, metadata: list[Any]) -> Any:
    limits: dict[str, Any] = {}
    for item in metadata:
        limits.update(_limit(item))
    return Annotated[kind, msgspec.Meta(**limits)] if limits else kind


def _limit(item: Any) -> dict[str, Any]:
    match item:
        case annotated_types.Ge(ge):
            return {"ge": ge}
        case annotated_types.Le(le):
            return {"le": le}
        case annotated_types.MinLen(least):
            return {"min_length": least}
        case annotated_types.MaxLen(most):
            return {"max_length": most}
    pattern = getattr(item, "pattern", None)
    if isinstance(pattern, str):
        # Python's `$` also matches before a final line break; pydantic's does not.
        return {"pattern": re.sub(r"\$$", r"\\Z", pattern)}
    raise TypeError(f"the parser cannot hold the limit {item!r}")


def _is_time(info: FieldInfo) -> bool:
    parts: tuple[Any, ...] = typing.get_args(info.annotation) or (info.annotation,)
    return AwareDatetime in parts
