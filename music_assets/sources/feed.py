"""What every source hands over: a catalogue, events for the API, messages for the topics, and their true counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from streaming.events import AlbumRecord, ArtistRecord, CatalogRecord, EventType, SongRecord
from streaming.topics import event_topic

ClientEvent = dict[str, Any]
"""An event as a client posts it: the fields of the contract, JSON types only."""

CATALOGUE_TOPICS: Final[dict[type[CatalogRecord], str]] = {
    ArtistRecord: "catalog_artists",
    AlbumRecord: "catalog_albums",
    SongRecord: "catalog_songs",
}


@dataclass(frozen=True)
class ForeignMessage:
    """A message that goes straight onto a topic, as a producer that is not the API would send it."""

    topic: str
    key: str
    value: bytes | None


@dataclass(frozen=True, kw_only=True)
class TopicTruth:
    """What must have become of a topic's messages, in rows.

    Attributes:
        received: messages on the topic.
        stored: rows in silver, one per event id.
        duplicate: messages whose event id another position holds.
        dead_lettered: messages that break the contract, by reason.
        event_id_conflicts: duplicates that say something else than the stored row.
    """

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    dead_lettered: Mapping[str, int] = field(default_factory=dict)
    event_id_conflicts: int = 0

    @property
    def dead_letters(self) -> int:
        """Messages that break the contract, over all reasons."""
        return sum(self.dead_lettered.values())


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The true counts of a feed, known because they were planted or counted from the file.

    Attributes:
        posted: events sent to the API, the refused ones included.
        rejected: events that the API must refuse, by the field it must name.
        topics: what must become of the messages, by topic of events.
        catalogue: distinct items by topic of the catalogue.
        trend_item: the item that must lead the trending list; None when the feed plants no trend.
    """

    posted: int
    topics: Mapping[str, TopicTruth]
    rejected: Mapping[str, int] = field(default_factory=dict)
    catalogue: Mapping[str, int] = field(default_factory=dict)
    trend_item: str | None = None

    def given(self, already: Mapping[str, int]) -> Truth:
        """Return the truth for a lake that holds `already` of the feed's rows, by topic: those become duplicates."""
        return replace(
            self,
            topics={
                name: replace(
                    truth,
                    stored=truth.stored - already.get(name, 0),
                    duplicate=truth.duplicate + already.get(name, 0),
                )
                for name, truth in self.topics.items()
            },
        )


@dataclass(frozen=True, kw_only=True)
class Feed:
    """All that one source sends.

    Attributes:
        name: what the source is called, the `source` field of its events.
        title: one line for people.
        catalogue: records of artists, albums and songs.
        events: gives the events for the API in the order of posting; each call starts anew.
        foreign: messages that go straight onto the topics.
        truth: the true counts, for a lake that holds none of the feed's events.
        fixed: the events are the same in every run, so that a second run sends duplicates only.
    """

    name: str
    title: str
    catalogue: Sequence[CatalogRecord]
    events: Callable[[], Iterator[ClientEvent]]
    truth: Truth
    foreign: Sequence[ForeignMessage] = ()
    fixed: bool = False


def topic_of(event_type: str) -> str:
    """Return the topic that a type of event goes to."""
    return event_topic(EventType(event_type)).name


def catalogue_messages(records: Iterable[CatalogRecord]) -> Iterator[ForeignMessage]:
    """Yield the catalogue's messages: keyed by item id, on the topic of the record's kind."""
    for record in records:
        value = record.model_dump_json(exclude_none=True).encode()
        yield ForeignMessage(CATALOGUE_TOPICS[type(record)], record.item_id, value)


def catalogue_truth(records: Iterable[CatalogRecord]) -> dict[str, int]:
    """Return the number of distinct items by topic."""
    distinct = {(CATALOGUE_TOPICS[type(record)], record.item_id) for record in records}
    return dict(Counter(topic for topic, _ in distinct))
