"""Features built from silver: the same as those that were there all the time, once, and only of who is kept."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from deltalake import write_deltalake

from streaming import online
from streaming.errors import UnavailableError
from streaming.events import EventType
from streaming.jobs import features, features_rebuild
from streaming.jobs.tombstones import write_tombstones
from streaming.lake import Lake
from streaming.tables import LEDGER
from streaming.topics import event_topics
from streaming.topics.admin import describe
from tests.streaming.conftest import SILVER, Platform, platform
from tests.streaming.listeners import Event, Listeners, events
from tests.streaming.test_features_job import world
from tests.warehouse.lakes import write

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["platform", "world"]

NOW = datetime.now(UTC)


@pytest.mark.spark
def test_built_from_silver_they_are_the_same_as_those_that_were_there_all_the_time(
    platform: Platform, redis_url: str, tmp_path: Path
) -> None:
    world = Listeners(platform.settings.model_copy(update={"redis_url": redis_url}), tmp_path)
    sent = events(600, seed=1)
    world.put(*sent[:300])
    world.put_raw("events_views", b"{", None)
    world.catch_up()
    platform.run(SILVER)
    world.put(*sent[250:400])
    platform.run(SILVER)
    world.put(*sent[350:])
    world.catch_up()
    now = datetime.now(UTC)
    lived = world.held(now=now)
    world.assert_holds(sent)

    world.redis.flushall()
    assert world.catch_up() < 600, "Kafka was read from its first offsets"
    assert world.held(now=now) == lived

    _empty_topics(world)
    world.redis.flushall()
    assert world.catch_up() == 0, "there is nothing left in Kafka"
    world.assert_holds(sent[:400])
    world.put(*sent[:400])
    assert world.catch_up() == 0, "what came within the last day is known as well"


def _empty_topics(world: Listeners) -> None:
    """Do what the broker's retention does."""
    client = AdminClient({"bootstrap.servers": world.settings.bootstrap_servers, "log_level": 0})
    states = describe(world.settings.bootstrap_servers)
    ends = [
        TopicPartition(topic.name, number, end)
        for topic in event_topics()
        for number, end in states[topic.name].end_offsets.items()
    ]
    for future in client.delete_records(ends).values():
        future.result()


class Silver:
    """A lake whose silver tables and ledger cover what a test says, beside empty topics."""

    def __init__(self, world: Listeners) -> None:
        self.lake = Lake(world.settings.storage)
        self.lake.create_all()
        self.states = describe(world.settings.bootstrap_servers)

    def hold(self, *rows: dict[str, Any], topic: str = "events_listens", covered: int | None = None) -> None:
        """Write rows at the topic's offsets from 0, of which the ledger covers some."""
        where = {"kafka_topic_id": self.states[topic].topic_id, "kafka_partition": 0}
        defaults = {"timestamp": NOW, "ingested_at": NOW, "event_type": topic.removeprefix("events_").removesuffix("s")}
        write(self.lake, topic, *({**defaults, **where, "event_id": f"e{n}", **row} for n, row in enumerate(rows)))
        end = len(rows) if covered is None else covered
        line = {
            "query": "q", "batch_id": 0, "topic": topic, **where, "first_offset": 0, "end_offset": end, "received": end,
            "stored": end, "duplicate": 0, "dead_lettered": 0, "event_id_conflicts": 0, "committed_at": NOW,
        }  # fmt: skip
        ledger = pa.Table.from_pylist([line], schema=LEDGER.schema)
        write_deltalake(self.lake.storage.folder / LEDGER.id, ledger, mode="append")


def listens(world: Listeners) -> dict[str, int]:
    return {name: each.total[EventType.LISTEN] for name, each in world.held(now=NOW).items()}


def test_who_was_silent_for_longer_than_a_value_is_kept_is_not_built(world: Listeners) -> None:
    ago = {days: NOW - timedelta(days=days) for days in (29, 31, 400)}
    Silver(world).hold(
        {"user_id": "silent", "ingested_at": ago[31]},
        {"user_id": "silent", "ingested_at": ago[400]},
        {"user_id": "awake", "ingested_at": ago[400]},
        {"user_id": "awake", "ingested_at": ago[29]},
    )
    world.catch_up()
    assert listens(world) == {"awake": 2}
    [awake] = online.read(world.redis, ["awake"], now=NOW)
    assert awake.since == ago[400]


def test_rows_that_the_ledger_does_not_cover_are_read_from_kafka(world: Listeners) -> None:
    Silver(world).hold({"user_id": "a"}, {"user_id": "a"}, {"user_id": "a"}, covered=2)
    world.catch_up()
    assert listens(world) == {"a": 2}


def test_who_is_forgotten_is_not_built_while_an_erasure_has_not_taken_the_rows_yet(world: Listeners) -> None:
    silver = Silver(world)
    silver.hold({"user_id": "gone"}, {"user_id": "stays"}, {"user_id": "gone"})
    write_tombstones(silver.lake, ["gone"], "request")
    world.catch_up()
    assert listens(world) == {"stays": 1}


def test_ids_are_known_of_the_last_day_only(world: Listeners) -> None:
    old = {"user_id": "a", "event_id": "old", "ingested_at": NOW - timedelta(days=2)}
    Silver(world).hold({"user_id": "a", "event_id": "fresh"}, old)
    again: Event = {"user_id": "a", "event_type": "listen", "item_id": "track:1", "timestamp": NOW.isoformat()}
    # The ledger covers partition 0 only.
    both = [json.dumps({**again, "event_id": name}).encode() for name in ("fresh", "old")]
    world.put_raw("events_listens", *both, partition=1)
    assert world.catch_up() == 1
    assert listens(world) == {"a": 3}, "sent again after more than a day an event counts again"


def test_stopped_in_the_middle_the_next_start_builds_all_of_it_once(
    world: Listeners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_rebuild, "_EVENTS", 10)
    many = [{"user_id": f"listener-{number % 7}", "item_id": f"track:{number}"} for number in range(500)]
    Silver(world).hold(*many)
    steps = iter(range(1000))

    def stopping(stream: features.FeatureStream) -> None:
        if next(steps) == 20:
            stream.stop()
        original(stream)

    original = features.FeatureStream._progress
    monkeypatch.setattr(features.FeatureStream, "_progress", stopping)
    stream = features.FeatureStream(world.settings)
    turning = threading.Thread(target=stream.serve)
    turning.start()
    turning.join(30)
    stream.close()
    assert not turning.is_alive()
    assert world.redis.exists(online.EPOCH_KEY) == 0
    assert 0 < sum(listens(world).values()) < 500
    with pytest.raises(UnavailableError, match="another process rebuilds"):
        features.FeatureStream(world.settings, patience=0.2).catch_up()
    world.redis.delete(online.REBUILD_KEY)  # as its expiry does
    world.catch_up()
    assert listens(world) == {f"listener-{n}": 72 if n < 3 else 71 for n in range(7)}


def test_a_listener_with_thousands_of_fresh_events_fits_into_one_transaction(world: Listeners) -> None:
    Silver(world).hold(*({"user_id": "a", "item_id": f"track:{number}"} for number in range(12_000)))
    world.catch_up()
    assert listens(world) == {"a": 12_000}
