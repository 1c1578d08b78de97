"""A steady live load: the people of the synthetic world, now, at a rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from random import Random

from music_assets.sources import catalogue as catalogues
from music_assets.sources import listening
from music_assets.sources.client import EventClient, Verdicts, send_messages
from music_assets.sources.feed import ClientEvent, catalogue_messages
from music_assets.sources.listening import Listener, Writer
from music_assets.sources.synthetic import Size
from streaming.producer import EventProducer

_TICK_SECONDS = 1.0


class Live:
    """Makes events that happen now, by the tastes of invented people.

    Args:
        seed: decides catalogue, people and what they play.
        start: tells one load from another, so that no two share event ids.
    """

    def __init__(self, seed: int, start: datetime, size: Size | None = None) -> None:
        size = size or Size()
        self.catalogue = catalogues.build(seed, artists=size.artists, tracks=size.tracks)
        self._rng = Random(f"live:{seed}:{start.isoformat()}")  # noqa: S311 - a repeatable load, not a secret
        people = Random(f"people:{seed}")  # noqa: S311 - as above
        self._people = listening.listeners(
            people, prefix=f"live-{seed}", count=size.listeners, styles=self.catalogue.styles
        )
        self._writer = Writer(self._rng)

    def events(self, count: int, now: datetime) -> list[ClientEvent]:
        """Return `count` events of the last second before `now`, in order of time."""
        times = sorted(now - timedelta(seconds=self._rng.random()) for _ in range(count))
        return [self._event(self._rng.choice(self._people), when) for when in times]

    def _event(self, person: Listener, when: datetime) -> ClientEvent:
        tracks = self.catalogue.of_style(self._rng.choice(person.styles))
        track = self._rng.choices(tracks, [each.appeal for each in tracks])[0]
        kind = self._rng.choices(("listen", "view", "click", "rating"), (65, 15, 15, 5))[0]
        if kind == "rating":
            return self._writer.event(person.user_id, kind, track.item_id, when, rating=float(self._rng.randint(2, 5)))
        if kind == "listen":
            return self._writer.event(person.user_id, kind, track.item_id, when, ms_played=track.duration_ms)
        return self._writer.event(person.user_id, kind, track.item_id, when)


def send_catalogue(live: Live, bootstrap_servers: str) -> None:
    """Put the catalogue on its topics, so that what is played has names.

    Raises:
        TimeoutExpiredError: the broker does not take it.
    """
    with closing(EventProducer(bootstrap_servers, client_id="music-simulate")) as producer:
        send_messages(producer, catalogue_messages(live.catalogue.records), patience_seconds=30)


def run(
    client: EventClient, live: Live, *, rate: float, seconds: float, progress: Callable[[Verdicts], None] | None = None
) -> Verdicts:
    """Post `rate` events a second for `seconds`; what a slow answer delays is made up for in the next tick."""
    verdicts, started, made = Verdicts(), time.monotonic(), 0
    while (passed := time.monotonic() - started) < seconds:
        due = int(rate * min(seconds, passed + _TICK_SECONDS)) - made
        if due > 0:
            verdicts.add(client.post(live.events(due, datetime.now(UTC))))
            made += due
        if progress is not None:
            progress(verdicts)
        time.sleep(max(0.0, started + passed + _TICK_SECONDS - time.monotonic()))
    return verdicts
