"""The features' job on a real Kafka and a real Redis: whatever is killed, flushed or away, each event counts once."""

from __future__ import annotations

import json
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from music_assets.stack import servers
from music_assets.stack.process import free_port, wait_until
from streaming import online
from streaming.control import FEATURES, FEATURES_ASSET
from streaming.errors import ConfigurationError, UnavailableError
from streaming.jobs import features, features_writer, metrics
from streaming.jobs.erase import erase_once
from streaming.online import Position
from streaming.parse import MAX_BYTES
from streaming.topics import EXAMPLES, event_topics
from streaming.topics.admin import TopicState, describe
from tests.fixtures.servers import running
from tests.streaming.conftest import recreate_topics
from tests.streaming.listeners import Cut, Event, Listeners, events, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeSettings


@pytest.fixture
def world(broker: str, redis_url: str, make_settings: MakeSettings, tmp_path: Path) -> Listeners:
    recreate_topics(broker)
    return Listeners(make_settings(kafka_bootstrap_servers=broker, redis_url=redis_url), tmp_path)


def test_late_doubled_and_disordered_events_give_what_a_count_by_hand_gives(world: Listeners) -> None:
    sent = events(3000, seed=1)
    world.put(*sent[:2000])
    assert world.catch_up() == len({event["event_id"] for event in sent[:2000]})
    world.put(*sent[1500:], *sent[:300])
    world.catch_up()
    world.assert_holds(sent)
    assert world.catch_up() == 0


def test_every_hostile_message_is_skipped_and_counted(world: Listeners) -> None:
    good = events(30, seed=2)
    before = {topic.name: _rows(topic.name, "invalid") for topic in event_topics()}
    future = {**good[0], "event_id": "x", "event_type": "view", "timestamp": _in(minutes=6)}
    bad: dict[str, list[bytes | None]] = {topic.name: [] for topic in event_topics()}
    for path in sorted(EXAMPLES.glob("events_*/v*/bad-*.json")):
        bad[path.parent.parent.name].append(path.read_bytes())
    hostile = [
        None,
        b"",
        b"\x00",
        b"[" * 50_000,
        b"{" + b" " * MAX_BYTES,
        b"\xff\xfe",
        b"NaN",
        b'{"user_id":',
        b"1e308",
    ]
    bad["events_views"] += [*hostile, json.dumps(future).encode()]
    for topic, values in bad.items():
        world.put_raw(topic, *values)
        world.put_raw(topic, *values[:1], key=None)
    world.put(*good)
    world.catch_up()
    world.assert_holds(good)
    for topic, values in bad.items():
        assert _rows(topic, "invalid") - before[topic] == len(values) + 1, topic
    assert all(position.offset == end for position, end in _ends(world))


def _in(**time_ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**time_ahead)).isoformat()


def _rows(topic: str, outcome: str) -> float:
    labels = {"query": FEATURES, "topic": topic, "outcome": outcome}
    return metrics.REGISTRY.get_sample_value("stream_rows_total", labels) or 0.0


def _ends(world: Listeners) -> Iterator[tuple[Position, int]]:
    states = describe(world.settings.bootstrap_servers)
    wanted = {(t.name, n): end for t in event_topics() for n, end in states[t.name].end_offsets.items()}
    for at, position in online.positions(world.redis, [*wanted]).items():
        assert position is not None
        yield position, wanted[at]


def test_an_event_of_the_near_future_counts_and_one_of_the_past_is_late_and_not_lost(world: Listeners) -> None:
    [first, *_] = events(1, seed=3)
    sent = [
        {**first, "event_id": "soon", "timestamp": _in(minutes=4)},
        {**first, "event_id": "long ago", "timestamp": "1970-01-01T00:00:00Z"},
        {**first, "event_id": "yesterday", "timestamp": _in(hours=-30)},
    ]
    world.put(*sent)
    world.catch_up()
    world.assert_holds(sent)


def test_an_event_without_an_id_has_the_one_that_silver_gives_it(world: Listeners) -> None:
    [first, *_] = events(1, seed=4)
    del first["event_id"]
    world.put(first, {**first, "timestamp": first["timestamp"].replace("+00:00", "Z")}, {**first, "source": "again"})
    assert world.catch_up() == 1


@pytest.mark.parametrize("deliver", [False, True], ids=["before it is written", "before the answer is seen"])
def test_killed_in_mid_batch_each_event_counts_once(world: Listeners, deliver: bool) -> None:
    door = Cut(int(world.redis.connection_pool.connection_kwargs["port"]))
    through = f"redis://127.0.0.1:{door.port}/0"
    sent = events(900, seed=5)
    world.put(*sent[:300])
    world.catch_up()
    for part in range(300, 900, 200):
        with world.service(redis_url=through) as process:
            before = sum(position.offset for position, _ in _ends(world))
            door.at_next_write(process.kill, deliver=deliver)
            world.put(*sent[part : part + 200])
            assert door.happened.wait(20), world.log()
            assert process.wait(10) == -signal.SIGKILL
            taken = sum(position.offset for position, _ in _ends(world)) - before
            assert (taken > 0) is deliver, "it was not killed where the test wants it"
    world.put(*sent[850:])
    world.catch_up()
    world.assert_holds(sent)
    door.close()


@pytest.mark.parametrize("deliver", [False, True], ids=["the question", "the answer"])
def test_a_connection_that_is_cut_loses_neither_way(world: Listeners, deliver: bool) -> None:
    door = Cut(int(world.redis.connection_pool.connection_kwargs["port"]))
    sent = events(600, seed=6)
    with world.service(redis_url=f"redis://127.0.0.1:{door.port}/0") as process:
        for part in range(0, 600, 200):
            door.at_next_write(lambda: None, deliver=deliver)
            world.put(*sent[part : part + 200])
            assert door.happened.wait(20), world.log()
        world.put(*sent[600:])
        world.client.run(FEATURES, timeout=60)
        assert process.poll() is None
    world.assert_holds(sent)
    door.close()


@pytest.mark.slow
def test_under_load_kills_at_any_moment_neither_lose_nor_double(world: Listeners) -> None:
    sent = events(9000, seed=7, listeners=300)
    producing = threading.Thread(target=world.put, args=sent, kwargs={"gap_seconds": 0.001})
    producing.start()
    kills = 0
    while producing.is_alive() or kills < 6:
        with world.service() as process:
            time.sleep(0.3 + 0.17 * (kills % 5))
            process.kill()
            kills += 1
    producing.join()
    world.catch_up()
    world.assert_holds(sent)


def test_a_flush_is_noticed_without_a_new_event_and_all_is_built_again(world: Listeners) -> None:
    sent = events(500, seed=8)
    with world.service() as process:
        world.put(*sent[:400])
        assert world.client.run(FEATURES).tables[FEATURES_ASSET].rows_total == 40
        world.redis.flushall()
        assert wait_until(lambda: world.redis.exists(online.EPOCH_KEY) == 1, seconds=20), world.log()
        world.put(*sent[400:])
        world.client.run(FEATURES)
        world.assert_holds(sent)
        assert process.poll() is None


def test_away_for_longer_than_ids_are_kept_means_to_build_again(world: Listeners) -> None:
    sent = events(100, seed=9)
    world.put(*sent)
    world.catch_up()
    world.redis.delete(online.EPOCH_KEY)  # as its expiry does
    for name in world.redis.keys(f"{online.PREFIX}ids:*"):
        world.redis.delete(name)
    world.put(*sent[:50])
    world.catch_up()
    world.assert_holds(sent)


@pytest.mark.slow
def test_a_broker_that_is_away_is_waited_for(world: Listeners, make_settings: MakeSettings) -> None:
    from streaming.topics.admin import apply

    chosen = make_settings()
    sent = events(300, seed=12)
    world.settings = world.settings.model_copy(update={"kafka_bootstrap_servers": chosen.bootstrap_servers})
    with world.service() as process:
        time.sleep(1)
        assert process.poll() is None, "it ends when it starts before the broker"
        assert world.client.alive()
        with running(servers.kafka(chosen), world.folder):
            apply(chosen.bootstrap_servers)
            world.put(*sent[:150])
            world.client.run(FEATURES, timeout=90)
        assert world.client.alive()
        with running(servers.kafka(chosen), world.folder):
            world.put(*sent[150:])
            world.client.run(FEATURES, timeout=90)
            assert process.poll() is None
        world.assert_holds(sent)
        assert stop(process) == 0, "it does not end while the broker is away"


def test_asked_to_stop_it_finishes_its_batch_and_says_how_far_it_is(world: Listeners) -> None:
    sent = events(5000, seed=13)
    world.put(*sent)
    with world.service() as process:
        assert wait_until(lambda: world.redis.exists(online.EPOCH_KEY) == 1, seconds=30)
        assert stop(process) == 0, world.log()
        assert "Traceback" not in world.log()
    world.catch_up()
    world.assert_holds(sent)


def test_two_at_once_quarrel_and_lose_nothing(world: Listeners) -> None:
    sent = events(2000, seed=14)
    with world.service() as first, world.service(features_port=free_port()):
        producing = threading.Thread(target=world.put, args=sent, kwargs={"gap_seconds": 0.002})
        producing.start()
        time.sleep(2)
        world.catch_up()
        first.kill()
        producing.join()
        assert wait_until(lambda: all(p.offset == end for p, end in _ends(world)), seconds=30), world.log()
    world.assert_holds(sent)


def test_a_topic_that_was_made_anew_is_read_from_its_first_offset(world: Listeners) -> None:
    sent = events(200, seed=15)
    world.put(*sent[:100])
    world.catch_up()
    recreate_topics(world.settings.bootstrap_servers)
    world.put(*sent[50:])
    world.catch_up()
    world.assert_holds(sent)


def test_a_topic_that_is_made_anew_under_the_service_is_noticed(
    world: Listeners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_writer, "_TOPICS_SECONDS", 0.5)
    stream = features.FeatureStream(world.settings)
    turning = threading.Thread(target=stream.serve)
    turning.start()
    try:
        sent = events(300, seed=16)
        world.put(*sent[:200])
        stream.run(FEATURES)
        recreate_topics(world.settings.bootstrap_servers)
        world.put(*sent[200:])
        stream.run(FEATURES)
    finally:
        stream.stop()
        turning.join()
        stream.close()
    world.assert_holds(sent)


def test_messages_that_left_the_broker_are_passed_over() -> None:
    state = TopicState(topic_id="id", partitions=1, first_offsets={0: 10}, end_offsets={0: 20})
    begin = features_writer.begin
    assert [begin(Position("id", offset), state, 0) for offset in (3, 10, 15, 20, 99)] == [10, 10, 15, 20, 20]
    assert begin(None, state, 0) == begin(Position("old", 15), state, 0) == 10


def test_what_is_missing_is_named(world: Listeners, make_settings: MakeSettings) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    with pytest.raises(UnavailableError, match=f"Kafka broker at {nowhere} does not answer"):
        features.run_once(make_settings(kafka_bootstrap_servers=nowhere, redis_url=world.settings.redis_url))
    url = f"redis://127.0.0.1:{free_port()}/0"
    with pytest.raises(UnavailableError, match="Redis does not answer"):
        features.run_once(world.settings.model_copy(update={"redis_url": url}))
    stream = features.FeatureStream(world.settings)
    with pytest.raises(ConfigurationError, match=f"valid: {FEATURES}"):
        stream.run("stream_kafka_to_silver")
    stream.close()


def test_the_service_says_how_it_is(world: Listeners) -> None:
    sent = events(200, seed=17)
    with world.service():
        world.put(*sent)
        world.put_raw("events_views", b"{")
        held = world.client.run(FEATURES).tables[FEATURES_ASSET].rows_total
        assert held == len({event["user_id"] for event in sent})
        views = {event["event_id"] for event in sent if event["event_type"] == "view"}
        doubled = sum(event["event_type"] == "view" for event in sent) - len(views)
        assert world.outcome("events_views", "stored") == len(views)
        assert world.outcome("events_views", "duplicate") == doubled
        assert world.outcome("events_views", "invalid") == 1
        assert world.metric(f'stream_batch_duration_seconds_count{{query="{FEATURES}"}}') >= 1
        assert world.metric(f'stream_event_delay_seconds_count{{query="{FEATURES}"}}') >= 1
        assert abs(time.time() - world.metric(f'stream_last_batch_timestamp_seconds{{query="{FEATURES}"}}')) < 30
        lag = f'stream_consumer_lag{{partition="0",query="{FEATURES}",topic="events_views"}}'
        assert wait_until(lambda: world.metric(lag) == 0, seconds=10)
        with pytest.raises(UnavailableError, match="valid: stream_features_to_online"):
            world.client.run("stream_kafka_to_silver")


@pytest.mark.slow
def test_at_500_events_a_second_95_of_100_batches_are_in_redis_within_a_second(world: Listeners) -> None:
    sent = events(4000, seed=18, listeners=1000, days=0.001)
    with world.service():
        world.put(*sent[:50])
        world.client.run(FEATURES)
        world.put(*sent[50:], gap_seconds=0.002)
        world.client.run(FEATURES)
        delays = f'stream_event_delay_seconds_bucket{{le="1.0",query="{FEATURES}"}}'
        batches = world.metric(f'stream_event_delay_seconds_count{{query="{FEATURES}"}}')
        assert batches > 50
        assert world.metric(delays) / batches >= 0.95


def test_an_erased_listener_is_gone_from_redis_and_what_comes_late_stays_out(world: Listeners) -> None:
    sent: list[Event] = events(300, seed=19)
    planted = {**sent[0], "event_id": "planted", "user_id": "planted-listener-id", "item_id": "track:planted"}
    late = [{**planted, "event_id": f"planted-{number}"} for number in range(5)]
    settings = world.settings.model_copy(update={"stream_engine": "python"})
    with world.service():
        world.put(*sent[:200], planted)
        world.client.run(FEATURES)
        assert world.names(b"planted")
        erase_once(["planted-listener-id"], "request", settings, None)
        assert not world.names(b"planted")
        world.put(*sent[200:], *late)
        world.client.run(FEATURES)
        assert world.outcome(f"events_{planted['event_type']}s", "erased") == 5
        world.assert_holds(sent)
        world.redis.flushall()
        assert wait_until(lambda: world.redis.exists(online.EPOCH_KEY) == 1, seconds=20), world.log()
        world.client.run(FEATURES)
        world.assert_holds(sent)
    assert not world.names(b"planted")
