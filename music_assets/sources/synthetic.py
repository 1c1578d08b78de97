"""The synthetic world: a pure function of (seed, anchor, size) whose every count is known.

Item ids depend on the seed alone, listeners and event ids on the anchor as well: a second run sends the
same catalogue and trend, and new people who listen to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final

from music_assets.sources import catalogue as catalogues
from music_assets.sources import disturbances, listening
from music_assets.sources.feed import ClientEvent, Feed, ForeignMessage, TopicTruth, Truth, catalogue_truth, topic_of
from music_assets.sources.foreign import Planted
from music_assets.sources.foreign import messages as foreign_messages
from streaming.events import derive_event_id
from streaming.topics import event_topics

TREND_PLACE: Final = 0.37
BOT_PLACE: Final = 0.61


@dataclass(frozen=True, kw_only=True)
class Size:
    """How big the world is; the planted oddities come on top of `events`."""

    listeners: int = 300
    artists: int = 60
    tracks: int = 1500
    events: int = 40_000
    days: int = 30


@dataclass(frozen=True)
class World:
    """The world and what was planted in it.

    Attributes:
        feed: what is sent, with its truth.
        refused: places in the order of posting of the events the API must refuse, with the field at fault.
        planted: the foreign messages with their fates.
        catalogue: the items with what decides who hears them.
        bot_item: the track that one listener hammers.
    """

    feed: Feed
    refused: dict[int, str]
    planted: tuple[Planted, ...]
    catalogue: catalogues.Catalogue
    bot_item: str


def build(seed: int, anchor: datetime, size: Size | None = None) -> World:
    """Return the world of a seed whose newest events lie just before `anchor` (whole seconds count)."""
    size = size or Size()
    anchor = anchor.astimezone(UTC).replace(microsecond=0)
    stock = catalogues.build(seed, artists=size.artists, tracks=size.tracks)
    rng = Random(f"world:{seed}:{anchor.isoformat()}")  # noqa: S311 - a repeatable world, not a secret
    prefix = f"listener-{seed}-{anchor:%Y%m%dT%H%M%S}"
    people = listening.listeners(rng, prefix=prefix, count=size.listeners, styles=stock.styles)
    trend, hammered = (stock.tracks[int(place * len(stock.tracks))] for place in (TREND_PLACE, BOT_PLACE))
    events = listening.sessions(rng, stock, people, anchor=anchor, days=size.days, events=size.events)
    events += listening.trend(rng, trend, people, anchor=anchor)
    events += listening.bot(rng, f"{prefix}-bot", hammered, anchor=anchor)
    bad = disturbances.refused(rng, events, anchor=anchor)
    placed: list[tuple[float, str | None, ClientEvent]] = [
        (float(place), None, event) for place, event in enumerate(events)
    ]
    placed += [(place, None, event) for place, event in disturbances.duplicates(rng, events)]
    placed += [(p, None, event) for p, event in disturbances.late(rng, stock, people, anchor=anchor, end=len(events))]
    placed += bad
    placed.sort(key=lambda each: each[0])
    posted = tuple(event for _, _, event in placed)
    fields = {place: field for place, (_, field, _) in enumerate(placed) if field is not None}
    planted = tuple(foreign_messages(rng, stock, anchor=anchor))
    truth = Truth(
        posted=len(posted),
        rejected=dict(Counter(fields.values())),
        topics=_topics((event for place, event in enumerate(posted) if place not in fields), planted),
        catalogue=catalogue_truth(stock.records),
        trend_item=trend.item_id,
    )
    feed = _feed(seed, stock, posted, [each.message for each in planted], truth)
    return World(feed, fields, planted, stock, hammered.item_id)


def _feed(
    seed: int,
    stock: catalogues.Catalogue,
    posted: Sequence[ClientEvent],
    foreign: Sequence[ForeignMessage],
    truth: Truth,
) -> Feed:
    return Feed(
        name=catalogues.SOURCE, title=f"synthetic world, seed {seed}", catalogue=stock.records,
        events=lambda: iter(posted), foreign=foreign, truth=truth,
    )  # fmt: skip


def _topics(good: Iterable[ClientEvent], planted: Iterable[Planted]) -> dict[str, TopicTruth]:
    received: Counter[str] = Counter()
    rows: dict[str, dict[str, ClientEvent]] = {topic.name: {} for topic in event_topics()}
    conflicts: Counter[str] = Counter()
    for event in good:
        topic = topic_of(event["event_type"])
        received[topic] += 1
        first = rows[topic].setdefault(identity(event), event)
        conflicts[topic] += first != event
    fates = Counter((each.message.topic, each.fate) for each in planted)
    reasons = Counter((each.message.topic, each.reason) for each in planted if each.reason is not None)
    return {
        topic: TopicTruth(
            received=received[topic] + sum(count for (name, _), count in fates.items() if name == topic),
            stored=len(stored) + fates[topic, "stored"],
            duplicate=received[topic] - len(stored) + fates[topic, "duplicate"],
            dead_lettered={str(reason): count for (name, reason), count in reasons.items() if name == topic},
            event_id_conflicts=conflicts[topic],
        )
        for topic, stored in rows.items()
    }


def identity(event: ClientEvent) -> str:
    """Return the identity of a good event: its own id, or the one its four fields give."""
    own = event.get("event_id")
    if own is not None:
        return str(own)
    when = datetime.fromisoformat(event["timestamp"])
    return derive_event_id(event["user_id"], event["event_type"], event["item_id"], when)
