"""Messages of a producer that does not go through the API: a few good ones, many broken, each with its fate."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, Literal

from music_assets.sources.catalogue import Catalogue
from music_assets.sources.feed import ForeignMessage
from streaming.parse import Reason
from streaming.topics import Topic, event_topics

SOURCE: Final = "foreign"
GOOD: Final = 6
TWICE: Final = 3
TIMES_BROKEN: Final = 2

Fate = Literal["stored", "duplicate", "dead_lettered"]
Fields = dict[str, Any]


@dataclass(frozen=True)
class Planted:
    """A foreign message and what must become of it; a dead letter has a reason."""

    message: ForeignMessage
    fate: Fate
    reason: Reason | None = None


@dataclass(frozen=True)
class _Spoil:
    """One way to break a message: fields to set or a function of the bytes, and the reason it must be refused for."""

    reason: Reason
    fields: Fields
    raw: Callable[[bytes], bytes | None] | None = None


def _spoils(topic: Topic, anchor: datetime) -> list[_Spoil]:
    other = next(each.event_type for each in event_topics() if each.name != topic.name)
    return [
        _Spoil(Reason.MALFORMED_JSON, {}, lambda value: value[: len(value) // 2]),
        _Spoil(Reason.NOT_UTF8, {}, lambda _: b"\xff\xfe not JSON"),
        _Spoil(Reason.NOT_AN_OBJECT, {}, lambda value: b"[" + value + b"]"),
        _Spoil(Reason.EMPTY_MESSAGE, {}, lambda _: None),
        _Spoil(Reason.WRONG_TYPE, {"user_id": 7}),
        _Spoil(Reason.WRONG_TYPE, {"ms_played": "long"}),
        _Spoil(Reason.OUT_OF_RANGE, {"ms_played": 2**40}),
        _Spoil(Reason.OUT_OF_RANGE, {"rating": 11}),
        _Spoil(Reason.MISSING_FIELD, {"item_id": None}),
        _Spoil(Reason.MISSING_FIELD, {"timestamp": None}),
        _Spoil(Reason.BAD_FORMAT, {"item_id": "podcast:42"}),
        _Spoil(Reason.BAD_FORMAT, {"timestamp": "yesterday"}),
        _Spoil(Reason.UNKNOWN_EVENT_TYPE, {"event_type": "skip"}),
        _Spoil(Reason.WRONG_TOPIC, {"event_type": str(other)}),
        _Spoil(Reason.FUTURE_TIME, {"timestamp": (anchor + timedelta(days=365)).isoformat()}),
        _Spoil(Reason.UNKNOWN_SCHEMA_VERSION, {"schema_version": max(topic.versions) + 98}),
    ]


def messages(rng: Random, catalogue: Catalogue, *, anchor: datetime) -> list[Planted]:
    """Return the foreign messages for all topics of events, in the order of sending."""
    return [planted for topic in event_topics() for planted in _for_topic(rng, catalogue, topic, anchor=anchor)]


def _for_topic(rng: Random, catalogue: Catalogue, topic: Topic, *, anchor: datetime) -> list[Planted]:
    good = [_good(rng, catalogue, topic, anchor=anchor) for _ in range(GOOD)]
    planted = [Planted(_message(topic, event), "stored") for event in good]
    planted += [Planted(_message(topic, event), "duplicate") for event in good[:TWICE]]
    # The thief's message goes under the key of the listener it steals from: a key is the producer's choice.
    thief = {**good[-1], "user_id": _listener(rng)}
    planted.append(
        Planted(_message(topic, thief, key=good[-1]["user_id"]), "dead_lettered", Reason.EVENT_ID_OF_ANOTHER_LISTENER)
    )
    for spoil in _spoils(topic, anchor) * TIMES_BROKEN:
        event = {**_good(rng, catalogue, topic, anchor=anchor), **spoil.fields}
        message = _message(topic, {name: value for name, value in event.items() if value is not None})
        if spoil.raw is not None and message.value is not None:
            message = ForeignMessage(topic.name, message.key, spoil.raw(message.value))
        planted.append(Planted(message, "dead_lettered", spoil.reason))
    return planted


def _listener(rng: Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _good(rng: Random, catalogue: Catalogue, topic: Topic, *, anchor: datetime) -> Fields:
    """Return a good event with a field that no version knows: readers must ignore it."""
    when = anchor - timedelta(seconds=rng.uniform(7200, 86_400 * 7))
    return {
        "event_id": _listener(rng),
        "user_id": _listener(rng),
        "event_type": str(topic.event_type),
        "item_id": rng.choice(catalogue.tracks).item_id,
        "timestamp": when.isoformat(),
        "rating": 4.0,
        "source": SOURCE,
        "device": "jukebox",
    }


def _message(topic: Topic, event: Fields, *, key: str | None = None) -> ForeignMessage:
    return ForeignMessage(topic.name, key or str(event.get("user_id")), json.dumps(event).encode())
