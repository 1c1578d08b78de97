"""Dead letters as people look at them: counted, shown, chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from streaming.errors import ConfigurationError
from streaming.parse import Reason
from streaming.tables import REDRIVEN, UTC_MICROSECONDS, dead_letters
from streaming.topics import topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.lake import Lake

REDRIVE_OF: Final = "redrive-of"
"""Header: topic id, partition and offset where the message was first, with slashes between."""
REDRIVE_ATTEMPT: Final = "redrive-attempt"
"""Header: how often the message was sent again, this time included."""

_ROWS_AT_ONCE: Final = 5_000


class Origin(NamedTuple):
    """Where a message was first, and how often it was sent again since."""

    topic_id: str
    partition: int
    offset: int
    attempt: int

    @property
    def next(self) -> Origin:
        """The same, sent once more."""
        return self._replace(attempt=self.attempt + 1)

    def headers(self) -> list[tuple[str, bytes]]:
        """What a redriven message carries."""
        place = f"{self.topic_id}/{self.partition}/{self.offset}"
        return [(REDRIVE_OF, place.encode()), (REDRIVE_ATTEMPT, str(self.attempt).encode())]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which dead letters: every condition that is given holds.

    Attributes:
        topic: its name.
        reason: why it is a dead letter.
        since: the broker's time of the message, from here on.
        until: up to here, without it.

    Raises:
        ConfigurationError: there is no such topic or reason, or a time has no zone.
    """

    topic: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.topic is not None and self.topic not in topics():
            raise ConfigurationError(f"there is no topic {self.topic!r}; valid: {', '.join(topics())}")
        if self.reason is not None and self.reason not in set(Reason):
            raise ConfigurationError(f"there is no reason {self.reason!r}; valid: {', '.join(Reason)}")
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ConfigurationError(f"{name} needs a zone, such as 2026-01-31T12:00:00+00:00 or ...Z")

    @property
    def topics(self) -> list[str]:
        """The topics to look at."""
        return [self.topic] if self.topic else list(topics())

    def where(self) -> pc.Expression | None:
        """The conditions on rows."""
        parts = []
        if self.reason is not None:
            parts.append(pc.field("reason") == self.reason)
        if self.since is not None:
            parts.append(pc.field("kafka_timestamp") >= pa.scalar(self.since, UTC_MICROSECONDS))
        if self.until is not None:
            parts.append(pc.field("kafka_timestamp") < pa.scalar(self.until, UTC_MICROSECONDS))
        return reduce(and_, parts) if parts else None


def read_time(name: str, value: str | None) -> datetime | None:
    """Return a time as a person writes it; None where none is given.

    Args:
        name: of the option or field, for the error.
        value: ISO 8601.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return None if value is None else datetime.fromisoformat(value)
    except ValueError as error:
        raise ConfigurationError(f"{name} must be ISO 8601 with a zone, such as 2026-01-31T12:00:00Z") from error


@dataclass(frozen=True, kw_only=True)
class Count:
    """Dead letters of one topic and reason.

    Attributes:
        topic: whose.
        reason: why.
        count: how many.
        redriven: how many of them were sent once more.
        first: the broker's time of the oldest.
        last: of the newest.
    """

    topic: str
    reason: str
    count: int
    redriven: int
    first: datetime
    last: datetime


def summary(lake: Lake, wanted: Wanted) -> list[Count]:
    """Count dead letters by topic and reason, the most frequent first.

    Raises:
        UnavailableError: the lake was not made yet.
    """
    found: list[Count] = []
    for topic in wanted.topics:
        sent = sent_origins(lake, topic)
        counts: Counter[str] = Counter()
        redriven: Counter[str] = Counter()
        spans: dict[str, tuple[datetime, datetime]] = {}
        for row in letters(lake, topic, wanted, columns=[*_PLACE, "kafka_timestamp", "headers", "reason"]):
            reason, moment = row["reason"], row["kafka_timestamp"]
            counts[reason] += 1
            redriven[reason] += origin_of(row).next in sent
            first, last = spans.get(reason, (moment, moment))
            spans[reason] = (min(first, moment), max(last, moment))
        found += [
            Count(
                topic=topic, reason=reason, count=count, redriven=redriven[reason],
                first=spans[reason][0], last=spans[reason][1],
            )
            for reason, count in counts.items()
        ]  # fmt: skip
    return sorted(found, key=lambda each: (-each.count, each.topic, each.reason))


def show(lake: Lake, wanted: Wanted, *, limit: int) -> list[dict[str, Any]]:
    """Return dead letters with `topic`, `attempt` and `status` (dead or redriven), at most `limit`.

    Raises:
        UnavailableError: the lake was not made yet.
    """
    found: list[dict[str, Any]] = []
    for topic in wanted.topics:
        sent = sent_origins(lake, topic)
        for row in letters(lake, topic, wanted):
            if len(found) == limit:
                return found
            origin = origin_of(row)
            status = "redriven" if origin.next in sent else "dead"
            found.append({"topic": topic, **row, "attempt": origin.attempt, "status": status})
    return found


_PLACE: Final = ["kafka_topic_id", "kafka_partition", "kafka_offset"]


def letters(lake: Lake, topic: str, wanted: Wanted, *, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield a topic's dead letters; a few thousand are in memory at a time."""
    dataset = lake.dataset(dead_letters(topic))
    batches = dataset.to_batches(
        columns=columns, filter=wanted.where(), batch_size=_ROWS_AT_ONCE, batch_readahead=2, fragment_readahead=1
    )
    for batch in batches:
        yield from batch.to_pylist()


def sent_origins(lake: Lake, topic: str) -> set[Origin]:
    """Return what was sent again of a topic so far, by where it was first and the attempt."""
    if not lake.exists(REDRIVEN):
        return set()
    rows = lake.read(REDRIVEN, [*_PLACE, "attempt"], pc.field("topic") == topic)
    return {
        Origin(*place) for place in zip(*(rows.column(name).to_pylist() for name in rows.column_names), strict=True)
    }


def origin_of(letter: Mapping[str, Any]) -> Origin:
    """Return where a dead letter was first: as its headers say, otherwise where it lies."""
    named = read_origin(letter["headers"])
    return named or Origin(letter["kafka_topic_id"], letter["kafka_partition"], letter["kafka_offset"], 0)


def read_origin(headers: list[dict[str, Any]] | None) -> Origin | None:
    """Return what the headers of a redriven message say; None where they are missing or cannot be read."""
    held = {each["key"]: each["value"] for each in headers or []}
    try:
        topic_id, partition, offset = held[REDRIVE_OF].decode().rsplit("/", 2)
        return Origin(topic_id, int(partition), int(offset), int(held[REDRIVE_ATTEMPT]))
    except (KeyError, ValueError, AttributeError, TypeError):
        # Anybody may write a header: one that is not ours makes the message an ordinary one.
        return None
