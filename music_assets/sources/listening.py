"""Listeners with tastes and the sessions they play, a planted trend and a bot: all from a seeded generator.

A listener loves a few styles and mostly plays those, so what others of the same taste play says more
about the next discovery than what everybody plays.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from music_assets.sources.catalogue import SOURCE, Catalogue, Track
from music_assets.sources.feed import ClientEvent

LOVED_STYLES: Final = 3
LOYALTY: Final = 0.93
"""Share of sessions in a loved style; the rest is chance, as in life."""
REPEAT: Final = 0.3
"""Share of plays that go back to a track heard before."""
WITHOUT_ID: Final = 0.1
"""Share of events that leave their identity to the platform."""
TREND_LISTENERS: Final = 0.3
"""Share of listeners that play the trend in its hour: far above the best of the background."""
TREND_WINDOW: Final = timedelta(minutes=25)
"""The trend's plays lie in the last minutes before the anchor, so that they are still within the hour
when a slow first run ranks it."""
BOT_PLAYS: Final = 300
PLACES: Final = ("home", "search", "radio", "friends", "playlist")
"""Where a session begins: the context of what is seen and chosen."""


@dataclass
class Listener:
    """One invented person.

    Attributes:
        user_id: the client's own id, which never passes the API.
        styles: loved styles, the favourite first.
        activity: relative number of events.
        heard: tracks in order of first play.
    """

    user_id: str
    styles: tuple[int, ...]
    activity: float
    heard: list[Track] = field(default_factory=list)


class Writer:
    """Makes events: ids from the generator, times as clients write them."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def event(self, user_id: str, event_type: str, item_id: str, when: datetime, **more: object) -> ClientEvent:
        """Return an event; most carry an id of their own."""
        made: ClientEvent = {"user_id": user_id, "event_type": event_type, "item_id": item_id}
        made["timestamp"] = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._rng.random() >= WITHOUT_ID:
            made["event_id"] = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        return {**made, "source": SOURCE, **more}


def listeners(rng: Random, *, prefix: str, count: int, styles: int) -> list[Listener]:
    """Return listeners whose tastes cover the styles; activity has a long tail."""
    return [
        Listener(
            user_id=f"{prefix}-{number:04d}",
            styles=tuple(rng.sample(range(styles), min(LOVED_STYLES, styles))),
            activity=rng.paretovariate(2.5),
        )
        for number in range(count)
    ]


def sessions(
    rng: Random, catalogue: Catalogue, people: Sequence[Listener], *, anchor: datetime, days: int, events: int
) -> list[ClientEvent]:
    """Return about `events` events of ordinary sessions in the `days` before the anchor, in order of time."""
    writer = Writer(rng)
    by_style = [catalogue.of_style(style) for style in range(catalogue.styles)]
    weights = [[track.appeal for track in tracks] for tracks in by_style]
    activity = sum(person.activity for person in people)
    made: list[tuple[datetime, ClientEvent]] = []
    for person in people:
        quota = max(8, round(events * person.activity / activity))
        starts = sorted(anchor - timedelta(seconds=rng.uniform(3600, days * 86_400)) for _ in range(quota // 12 + 1))
        for start in starts:
            loved = rng.random() < LOYALTY
            style = (
                rng.choices(person.styles, (4, 3, 2)[: len(person.styles)])[0]
                if loved
                else rng.randrange(len(by_style))
            )
            tracks = rng.choices(by_style[style], weights[style], k=rng.randint(4, 9))
            made += _session(rng, writer, person, tracks, start=start)
    made.sort(key=lambda pair: pair[0])
    return [event for when, event in made if when < anchor]


def _session(
    rng: Random, writer: Writer, person: Listener, tracks: Sequence[Track], *, start: datetime
) -> Iterator[tuple[datetime, ClientEvent]]:
    """Yield a session: a page is seen, tracks are chosen and played, a few are rated."""
    when, context = start, rng.choice(PLACES)
    page = rng.choice((tracks[0].artist_id, tracks[0].album_id, tracks[0].item_id))
    yield when, writer.event(person.user_id, "view", page, when, context=context)
    for choice in tracks:
        track = rng.choice(person.heard) if person.heard and rng.random() < REPEAT else choice
        when += timedelta(seconds=rng.uniform(2, 20))
        if rng.random() < 0.3:
            yield when, writer.event(person.user_id, "click", track.item_id, when, context=context)
            when += timedelta(seconds=rng.uniform(1, 3))
        played = track.duration_ms if rng.random() < 0.8 else round(track.duration_ms * rng.random())
        yield when, writer.event(person.user_id, "listen", track.item_id, when, ms_played=played, context=context)
        if track not in person.heard:
            person.heard.append(track)
        when += timedelta(milliseconds=played)
        if rng.random() < 0.08:
            liked = min(5.0, max(0.5, rng.gauss(4.2 if track.style in person.styles else 2.5, 0.7)))
            yield when, writer.event(person.user_id, "rating", track.item_id, when, rating=round(liked * 2) / 2)


def trend(rng: Random, track: Track, people: Sequence[Listener], *, anchor: datetime) -> list[ClientEvent]:
    """Return the planted trend: many listeners play one track in the last minutes, most of them twice."""
    writer = Writer(rng)
    made: list[ClientEvent] = []
    for person in rng.sample(list(people), max(3, round(len(people) * TREND_LISTENERS))):
        for _ in range(rng.choice((1, 2, 2))):
            when = anchor - timedelta(seconds=rng.uniform(5, TREND_WINDOW.total_seconds()))
            made.append(writer.event(person.user_id, "listen", track.item_id, when, ms_played=track.duration_ms))
    return made


def bot(rng: Random, user_id: str, track: Track, *, anchor: datetime) -> list[ClientEvent]:
    """Return one listener hammering one track in the same minutes: many plays, but a single listener."""
    writer = Writer(rng)
    step = (TREND_WINDOW.total_seconds() - 10) / BOT_PLAYS
    times = [anchor - timedelta(seconds=5 + place * step) for place in range(BOT_PLAYS)]
    return [writer.event(user_id, "listen", track.item_id, when, ms_played=1000) for when in reversed(times)]
