"""A second judge of messages, slow and made of other parts: Python's own JSON and pydantic.

It shares the models with the parser, but neither a decoder nor a line of its logic. What the two must agree on is the
whole verdict: taken or not, the reason, and the field to blame.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from streaming.events import Timestamp, normalise_item_id
from streaming.parse import Reason
from streaming.topics import Topic

Verdict = tuple[Reason, str | None]

_TIMES = ("timestamp", "updated_at")
_TIME = TypeAdapter(Timestamp)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(minutes=5)


def verdict(topic: Topic, value: bytes | None, now: datetime) -> Verdict | None:
    """Return why a message is refused; None: it is good."""
    if value is None or len(value) == 0:
        return Reason.EMPTY_MESSAGE, None
    if len(value) > 262_144:
        return Reason.TOO_LARGE, None
    if depth(value.decode("latin-1")) > 64:
        return Reason.MALFORMED_JSON, None
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return Reason.NOT_UTF8, None
    try:
        message = json.loads(text, parse_constant=_no, parse_int=_whole, object_pairs_hook=_members)
        _encodable(message)
    except ValueError:
        return Reason.MALFORMED_JSON, None
    if not isinstance(message, dict):
        return Reason.NOT_AN_OBJECT, None
    return of_message(topic, message, now)


def depth(text: str) -> int:
    """Deepest nesting of brackets outside strings, character by character."""
    deepest = level = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            quoted = True
        elif character in "[{":
            level += 1
            deepest = max(deepest, level)
        elif character in "]}":
            level -= 1
    return deepest


def _no(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _whole(digits: str) -> int:
    # Python refuses to read very long numbers; how large they are does not matter any more.
    return int(digits) if len(digits) < 400 else (-1 if digits.startswith("-") else 1) * 10**400


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, value in pairs:
        key.encode()
        _encodable(value)
    return dict(pairs)


def _encodable(value: Any) -> None:
    """Half a surrogate pair is written in ASCII and no text."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, list):
        for part in value:
            _encodable(part)


def of_message(topic: Topic, message: dict[str, Any], now: datetime) -> Verdict | None:
    """Judge a JSON object."""
    version = message.get("schema_version", 1)
    if type(version) is int and version >= 1 and version not in topic.versions:
        return Reason.UNKNOWN_SCHEMA_VERSION, "schema_version"
    kind = message.get("event_type")
    if topic.event_type is not None and isinstance(kind, str) and kind != topic.event_type.value:
        known = kind in {"view", "click", "rating", "listen"}
        return (Reason.WRONG_TOPIC if known else Reason.UNKNOWN_EVENT_TYPE), "event_type"
    model = topic.models[version if type(version) is int and version >= 1 else max(topic.versions)]
    known_fields = {name: message[name] for name in model.model_fields if name in message}
    try:
        model.model_validate_json(json.dumps(known_fields, ensure_ascii=False), strict=True)
    except ValidationError as error:
        found = [part for part in error.errors(include_url=False) if part["loc"]]
        if found:
            first = min(found, key=lambda part: list(model.model_fields).index(str(part["loc"][0])))
            return _reason(first["type"], message.get(str(first["loc"][0]))), str(first["loc"][0])
        # What is left is what the model says of its fields together; the parser looks at times first.
        return _times(message, now) or _lists(message)
    return _times(message, now) or _items(message)


def _reason(kind: str, value: Any) -> Reason:
    if kind == "missing":
        return Reason.MISSING_FIELD
    if kind in {"value_error", "timezone_aware"}:
        # The one validator of our own reads times.
        return Reason.BAD_FORMAT if isinstance(value, str) else Reason.WRONG_TYPE
    if kind == "string_pattern_mismatch":
        return Reason.BAD_FORMAT
    if kind.endswith("_type") or kind == "enum":
        return Reason.WRONG_TYPE
    return Reason.OUT_OF_RANGE


def _times(message: dict[str, Any], now: datetime) -> Verdict | None:
    for name in _TIMES:
        if message.get(name) is not None:
            moment = _TIME.validate_python(message[name])
            if moment < _EPOCH:
                return Reason.OUT_OF_RANGE, name
            if moment - now > _AHEAD:
                return Reason.FUTURE_TIME, name
    return None


def _lists(message: dict[str, Any]) -> Verdict:
    lists = [name for name in ("sources", "reasons", "propensities") if message.get(name) is not None]
    short = next(name for name in lists if len(message[name]) != len(message["item_ids"]))
    return Reason.OUT_OF_RANGE, short


def _items(message: dict[str, Any]) -> Verdict | None:
    name = "item_id" if "item_id" in message else "item_ids"
    items = message[name] if isinstance(message[name], list) else [message[name]]
    try:
        whole = [normalise_item_id(item) for item in items]
    except ValueError:
        return Reason.BAD_FORMAT, name
    return (Reason.OUT_OF_RANGE, name) if any(len(item) > 200 for item in whole) else None
