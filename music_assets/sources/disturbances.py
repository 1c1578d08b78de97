"""What goes wrong in real streams, planted so that it can be counted: duplicates, late and refused events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

from music_assets.sources.catalogue import Catalogue
from music_assets.sources.feed import ClientEvent
from music_assets.sources.listening import Listener, Writer

ADJACENT: Final = 60
FAR: Final = 80
WITHOUT_ID: Final = 40
CONFLICTS: Final = 5
LATE: Final = 120
FAR_APART: Final = 3000
"""Positions between an event and its duplicate, several requests of any size the API takes."""

Placed = tuple[float, ClientEvent]
"""An event and where it goes in the order of posting."""


def duplicates(rng: Random, events: Sequence[ClientEvent]) -> list[Placed]:
    """Return copies of `events`: right behind, far behind, of events without id, and one id that says two things."""
    named = [place for place, event in enumerate(events) if "event_id" in event]
    nameless = [place for place, event in enumerate(events) if "event_id" not in event]
    listens = [place for place in named if events[place]["event_type"] == "listen"]
    made = [(place + 0.1, dict(events[place])) for place in _some(rng, named, ADJACENT)]
    made += [(place + FAR_APART + 0.2, dict(events[place])) for place in _some(rng, named, FAR)]
    made += [
        (place + rng.choice((0.3, FAR_APART + 0.3)), dict(events[place])) for place in _some(rng, nameless, WITHOUT_ID)
    ]
    made += [(place + 0.4, {**events[place], "ms_played": 1}) for place in _some(rng, listens, CONFLICTS)]
    return made


def late(rng: Random, catalogue: Catalogue, people: Sequence[Listener], *, anchor: datetime, end: int) -> list[Placed]:
    """Return listens backdated by weeks, posted among the newest ones: a phone that was off the net."""
    writer = Writer(rng)
    made: list[Placed] = []
    for _ in range(LATE):
        person, when = rng.choice(people), anchor - timedelta(seconds=rng.uniform(35, 120) * 86_400)
        track = rng.choice(catalogue.of_style(person.styles[0]))
        event = writer.event(person.user_id, "listen", track.item_id, when, ms_played=track.duration_ms)
        made.append((rng.uniform(end * 2 / 3, end), event))
    return made


def _without(name: str) -> Callable[[ClientEvent, datetime], ClientEvent]:
    return lambda event, _: {key: value for key, value in event.items() if key != name}


def _with(**fields: object) -> Callable[[ClientEvent, datetime], ClientEvent]:
    return lambda event, _: {**event, **fields}


def _tomorrow(event: ClientEvent, anchor: datetime) -> ClientEvent:
    return {**event, "timestamp": (anchor + timedelta(days=1)).isoformat()}


REFUSED: Final[tuple[tuple[str, Callable[[ClientEvent, datetime], ClientEvent]], ...]] = (
    ("event_type", _with(event_type="skip")),
    ("event_type", _without("event_type")),
    ("user_id", _without("user_id")),
    ("user_id", _with(user_id="")),
    ("item_id", _without("item_id")),
    ("item_id", _with(item_id="podcast:42")),
    ("item_id", _with(item_id="album:")),
    ("timestamp", _without("timestamp")),
    ("timestamp", _with(timestamp="yesterday")),
    ("timestamp", _with(timestamp="2024-05-01T12:00:00")),
    ("timestamp", _tomorrow),
    ("rating", _with(event_type="rating", rating=7)),
    ("rating", _with(event_type="rating")),
    ("ms_played", _with(ms_played=-1)),
    ("ms_played", _with(ms_played="long")),
    ("mood", _with(mood="blue")),
)
"""Events the API must refuse, each with the field its answer must name."""

TIMES_REFUSED: Final = 4


def refused(rng: Random, events: Sequence[ClientEvent], *, anchor: datetime) -> list[tuple[float, str, ClientEvent]]:
    """Return bad events as (place, field that is wrong, event), made from good listens."""
    listens = [event for event in events if event["event_type"] == "listen"]
    made = []
    for field, spoil in REFUSED * TIMES_REFUSED:
        # Without an id of its own: a refused event must not take the identity of a good one.
        good = {key: value for key, value in rng.choice(listens).items() if key != "event_id"}
        made.append((rng.uniform(0, len(events)), field, spoil(good, anchor)))
    return made


def _some(rng: Random, places: Sequence[int], most: int) -> list[int]:
    """Return up to `most` places, at most a tenth of them, so that small worlds stay worlds."""
    return rng.sample(places, min(most, len(places) // 10))
