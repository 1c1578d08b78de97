"""The events of a measurement: made by number, and their fate known to the parser as to us."""

from __future__ import annotations

import zlib
from collections import Counter
from datetime import UTC, datetime

import msgspec
import numpy as np

from music_assets.bench.workload import BAD_SHARE, DUPLICATE_SHARE, Stream, World
from streaming.parse import Rejection, parse

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORLD = World(7, NOW)


def messages(stream: Stream) -> list:
    return [message for chunk in stream.chunks() for message in chunk]


def test_a_stream_is_the_same_each_time_and_another_with_another_seed() -> None:
    first, again = (messages(Stream(world=World(7, NOW), count=2000)) for _ in range(2))
    assert first == again
    assert first != messages(Stream(world=World(8, NOW), count=2000))


def test_the_parser_and_a_set_of_ids_find_the_planted_truth() -> None:
    stream = Stream(world=WORLD, count=120_000)
    found: Counter[str] = Counter()
    seen: dict[str, bytes] = {}
    for topic, key, value in messages(stream):
        row = parse(topic, value, now=NOW)
        if isinstance(row, Rejection):
            found["dead"] += 1
            found[row.reason] += 1
        else:
            assert key.decode() == row["user_id"]
            found["duplicate" if row["event_id"] in seen else "stored"] += 1
            assert seen.setdefault(row["event_id"], value) == value, "a duplicate says the same"
    truth = stream.truth
    assert (found["stored"], found["duplicate"], found["dead"]) == (truth.stored, truth.duplicate, truth.dead_lettered)
    assert abs(truth.dead_lettered / stream.count - BAD_SHARE) < 0.002
    assert abs(truth.duplicate / stream.count - DUPLICATE_SHARE) < 0.002
    assert {"malformed_json", "missing_field", "bad_format", "future_time"} <= found.keys()


def test_duplicates_of_an_earlier_stream_are_events_of_it() -> None:
    history = {msgspec.json.decode(each.value)["event_id"] for each in WORLD.messages(WORLD.columns(np.arange(1000)))}
    stream = Stream(world=WORLD, count=50_000, first=100_000, history=1000)
    found: Counter[str] = Counter()
    ids: set[str] = set()
    for topic, _, value in messages(stream):
        row = parse(topic, value, now=NOW)
        if not isinstance(row, Rejection):
            found["old" if row["event_id"] in history else "again" if row["event_id"] in ids else "new"] += 1
            ids.add(row["event_id"])
    assert found["new"] == stream.truth.stored
    assert found["old"] + found["again"] == stream.truth.duplicate
    assert found["old"] > 10


def test_events_are_as_large_and_as_mixed_as_said() -> None:
    made = messages(Stream(world=WORLD, count=20_000))
    assert 190 < sum(len(each.value) for each in made) / len(made) < 240
    topics = Counter(each.topic for each in made)
    assert len(topics) == 4
    assert min(topics.values()) > 2000
    assert len({each.key for each in made}) > 5000


def test_the_partition_of_a_listener_is_the_producers() -> None:
    # librdkafka's partitioner of keyed messages is CRC-32 of the key; `test_arena` holds it against the broker.
    assert [int(each) for each in WORLD.partition_of[:5]] == [
        zlib.crc32(each.encode()) % 3 for each in WORLD.listeners[:5]
    ]


def test_times_lie_before_the_anchor_unless_they_are_now() -> None:
    numbers = np.arange(1000)
    micros = World(7, NOW, span_seconds=60).columns(numbers).micros
    assert NOW.timestamp() - 60 <= micros.min() / 1e6 <= micros.max() / 1e6 <= NOW.timestamp()
    assert set(WORLD.columns(numbers, now=NOW).micros) == {int(NOW.timestamp() * 1e6)}
