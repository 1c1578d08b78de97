"""What is sent: an endless seeded stream of requests to the API, and one of messages straight to the topics."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from music_assets.sources import foreign
from music_assets.sources.catalogue import Catalogue
from music_assets.sources.disturbances import REFUSED
from music_assets.sources.feed import ClientEvent, ForeignMessage, catalogue_messages
from music_assets.sources.foreign import Planted
from music_assets.sources.live import Live
from music_assets.sources.synthetic import Size
from streaming.events import CatalogRecord

REQUEST: Final = 25
"""Fresh events of a request; copies and refused ones come on top."""

NEAR: Final = 0.08
FAR: Final = 0.06
LATE: Final = 0.03
CONFLICT: Final = 0.01
BAD: Final = 0.01

_RECORDS: Final = 12
"""Items of the catalogue that are sent, and their records after each wave of other messages."""

_WORLD: Final = Size(listeners=150, artists=30, tracks=300)


@dataclass(frozen=True)
class Posting:
    """An event on its way to the API.

    Attributes:
        event: what is posted.
        refused: the field that the API must name when it refuses the event; None: it must take it.
        contradicts: the event says something else than the one of the same id that was taken before.
    """

    event: ClientEvent
    refused: str | None = None
    contradicts: bool = False


class Plan:
    """Requests of a live load in which events come again, late, contradictory or wrong.

    A function of its arguments, but for contradictions: they are made only of events whose place on the topic is
    settled, because of two events under one id the first on the topic holds.

    Args:
        seed: decides what is sent.
        anchor: moment of the first request.
        rate: fresh events a second; the times of the events follow it.
    """

    def __init__(self, seed: int, anchor: datetime, rate: float) -> None:
        self.catalogue: Catalogue
        self._live = Live(seed, anchor, _WORLD)
        self.catalogue = self._live.catalogue
        self._rng = Random(f"chaos:{seed}")
        self._anchor = anchor
        self.interval = REQUEST / rate
        self._past: list[ClientEvent] = []
        self._number = 0

    def request(self, settled: list[ClientEvent]) -> list[Posting]:
        """Return the next request; contradictions are made of the events in `settled`, which are used up."""
        now = self._anchor + timedelta(seconds=self._number * self.interval)
        self._number += 1
        postings: list[Posting] = []
        for fresh in self._live.events(REQUEST, now):
            event = self._backdated(fresh, now) if self._rng.random() < LATE else fresh
            postings.append(Posting(event))
            if self._rng.random() < NEAR:
                postings.append(Posting(dict(event)))
            if self._past and self._rng.random() < FAR:
                postings.append(Posting(dict(self._rng.choice(self._past))))
            if self._rng.random() < BAD:
                postings.append(self._bad(event, now))
            if settled and self._rng.random() < CONFLICT:
                postings.append(self._contradiction(settled))
            self._past.append(event)
        return postings

    def _backdated(self, event: ClientEvent, now: datetime) -> ClientEvent:
        return {**event, "timestamp": (now - timedelta(days=self._rng.uniform(35, 120))).isoformat()}

    def _bad(self, event: ClientEvent, now: datetime) -> Posting:
        field, spoil = self._rng.choice(REFUSED)
        # Without an id of its own: a refused event must not take the identity of a good one. Without a rating: the
        # fault may be that there is none.
        good = {key: value for key, value in event.items() if key not in {"event_id", "rating"}}
        return Posting(spoil({**good, "event_type": "listen"}, now + timedelta(days=1)), refused=field)

    def _contradiction(self, settled: list[ClientEvent]) -> Posting:
        event = settled.pop(self._rng.randrange(len(settled)))
        return Posting({**event, "context": "told otherwise"}, contradicts=True)


def direct(seed: int, catalogue: Catalogue, anchor: datetime) -> Iterator[Planted]:
    """Yield messages of producers other than the API: good and broken ones, catalogue records, recommendations."""
    rng = Random(f"direct:{seed}")
    records = _records(rng, catalogue)
    for wave in itertools.count():
        planted = foreign.messages(Random(f"direct:{seed}:{wave}"), catalogue, anchor=anchor)
        # In turns over the topics; the order within a topic decides who holds an id, so it stays.
        by_topic = itertools.groupby(planted, key=lambda each: each.message.topic)
        for turn in itertools.zip_longest(*(list(messages) for _, messages in by_topic)):
            yield from (each for each in turn if each is not None)
            yield _recommendation(rng, catalogue, anchor)
        # Seldom, because a merge costs more than all else in a batch.
        yield from itertools.islice(records, _RECORDS)


def _records(rng: Random, catalogue: Catalogue) -> Iterator[Planted]:
    """Yield ever newer versions of a few records; now and then one is withdrawn."""
    few = rng.sample(catalogue.records, _RECORDS)
    for version in itertools.count(1):
        record: CatalogRecord = rng.choice(few)
        changed = record.model_copy(update={"name": f"{record.name} ({version})"})
        message = next(catalogue_messages([changed]))
        yield Planted(replace(message, value=None) if rng.random() < 0.1 else message, "stored")


def _recommendation(rng: Random, catalogue: Catalogue, anchor: datetime) -> Planted:
    listener = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    shown = {
        "event_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "user_id": listener,
        "timestamp": (anchor - timedelta(seconds=rng.uniform(0, 3600))).isoformat(),
        "model_version": "chaos",
        "rung": "popular",
        "item_ids": [track.item_id for track in rng.sample(catalogue.tracks, 3)],
        "sources": ["popularity"] * 3,
        "reasons": ["popular now"] * 3,
    }
    return Planted(ForeignMessage("music_recommendations", listener, json.dumps(shown).encode()), "stored")
