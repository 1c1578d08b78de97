"""Dead letters page by page, the newest first, and their counts; no more than a page of them is in memory."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from streaming.errors import ContractError
from streaming.repair.letters import origin_of, sent_origins
from streaming.tables import UTC_MICROSECONDS, dead_letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.lake import Lake
    from streaming.repair.letters import Wanted

_ROWS_AT_ONCE: Final = 50_000
_PLACE: Final = ["kafka_timestamp", "kafka_topic_id", "kafka_partition", "kafka_offset"]
_ORDER: Final = list(zip(_PLACE, ["descending", "ascending", "ascending", "ascending"], strict=True))
_SHOWN: Final = [*_PLACE, "headers", "reason", "field", "value"]


class Place(NamedTuple):
    """Where a page ended: the broker's time, topic, topic id, partition and offset of its last dead letter."""

    at: datetime
    topic: str
    topic_id: str
    partition: int
    offset: int

    def encode(self) -> str:
        """Return it as a text that can be handed back."""
        return urlsafe_b64encode(json.dumps([self.at.isoformat(), *self[1:]]).encode()).decode()

    @property
    def order(self) -> tuple[float, str, str, int, int]:
        """What dead letters are sorted by."""
        return (-self.at.timestamp(), *self[1:])


def decode(cursor: str) -> Place:
    """Return the place that a text names.

    Raises:
        ContractError: it names none.
    """
    try:
        at, topic, topic_id, partition, offset = json.loads(urlsafe_b64decode(cursor))
        place = Place(
            datetime.fromisoformat(at).astimezone(UTC), str(topic), str(topic_id), int(partition), int(offset)
        )
        pa.scalar([place.partition, place.offset], pa.list_(pa.int64()))
    except (ValueError, TypeError, OverflowError, RecursionError, pa.ArrowException) as error:
        raise ContractError("bad_format", "cursor", "cursor: it must be the `next` of the page before") from error
    return place


def counts(lake: Lake, wanted: Wanted) -> Counter[tuple[str, str]]:
    """Count dead letters by topic and reason.

    Raises:
        UnavailableError: the lake was not made yet.
    """
    found: Counter[tuple[str, str]] = Counter()
    for topic in wanted.topics:
        for batch in _batches(lake, topic, wanted.where(), ["reason"]):
            for each in batch.column("reason").value_counts().to_pylist():
                found[topic, each["values"]] += each["counts"]
    return found


def page(lake: Lake, wanted: Wanted, *, after: Place | None, limit: int) -> list[tuple[Place, dict[str, Any]]]:
    """Return dead letters with their places, the newest first; each has `redriven`.

    Args:
        lake: the lake.
        wanted: which ones.
        after: where the page before ended.
        limit: dead letters at most.

    Raises:
        UnavailableError: the lake was not made yet.
    """
    places = sorted(
        (place for topic in wanted.topics for place in _places(lake, topic, wanted, after, limit)),
        key=lambda place: place.order,
    )[:limit]
    rows: dict[Place, dict[str, Any]] = {}
    for topic in {place.topic for place in places}:
        rows |= _rows(lake, topic, [place for place in places if place.topic == topic])
    return [(place, rows[place]) for place in places if place in rows]


def _places(lake: Lake, topic: str, wanted: Wanted, after: Place | None, limit: int) -> Iterator[Place]:
    conditions = [each for each in (wanted.where(), _behind(topic, after)) if each is not None]
    where = conditions[0] if conditions else None
    for each in conditions[1:]:
        where = where & each
    best: list[pa.RecordBatch] = []
    for batch in _batches(lake, topic, where, _PLACE):
        best = pa.Table.from_batches([*best, batch]).sort_by(_ORDER).slice(0, limit).to_batches()
    for row in pa.Table.from_batches(best).to_pylist() if best else []:
        yield Place(row["kafka_timestamp"], topic, *(row[name] for name in _PLACE[1:]))


def _behind(topic: str, after: Place | None) -> pc.Expression | None:
    """The condition on rows of a topic that they come after a place in the order."""
    if after is None:
        return None
    at, at_end = pc.field("kafka_timestamp"), pa.scalar(after.at, UTC_MICROSECONDS)
    if topic != after.topic:
        return at <= at_end if topic > after.topic else at < at_end
    topic_id, partition, offset = (pc.field(name) for name in _PLACE[1:])
    same = (topic_id == after.topic_id) & (
        (partition > after.partition) | ((partition == after.partition) & (offset > after.offset))
    )
    return (at < at_end) | ((at == at_end) & ((topic_id > after.topic_id) | same))


def _rows(lake: Lake, topic: str, places: list[Place]) -> dict[Place, dict[str, Any]]:
    sent = sent_origins(lake, topic)
    where = pc.field("kafka_offset").isin([place.offset for place in places])
    found: dict[Place, dict[str, Any]] = {}
    wanted = set(places)
    for batch in _batches(lake, topic, where, _SHOWN):
        for row in batch.to_pylist():
            place = Place(row["kafka_timestamp"], topic, *(row[name] for name in _PLACE[1:]))
            if place in wanted:
                found[place] = {**row, "redriven": origin_of(row).next in sent}
    return found


def _batches(lake: Lake, topic: str, where: pc.Expression | None, columns: list[str]) -> Iterator[pa.RecordBatch]:
    dataset = lake.dataset(dead_letters(topic))
    yield from dataset.to_batches(
        columns=columns, filter=where, batch_size=_ROWS_AT_ONCE, batch_readahead=2, fragment_readahead=1
    )
