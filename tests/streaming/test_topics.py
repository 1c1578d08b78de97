"""The broker's topics against their files, and the producer, on a real broker."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from music_assets.stack.process import free_port
from streaming.errors import ConfigurationError, UnavailableError
from streaming.producer import EventProducer
from streaming.topics import topics
from streaming.topics.admin import apply, describe
from tests.streaming.conftest import recreate_topics

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fresh(broker: str) -> Iterator[str]:
    """Bootstrap servers of a broker with empty topics, left so for the tests after this one."""
    recreate_topics(broker)
    yield broker
    recreate_topics(broker)


def test_applied_topics_are_what_their_files_say(fresh: str) -> None:
    states = describe(fresh)
    assert {name: state.partitions for name, state in states.items()} == {
        name: topic.partitions for name, topic in topics().items()
    }
    assert apply(fresh, dry_run=True) == []
    assert len({state.topic_id for state in states.values()}) == len(states)


def test_a_missing_topic_and_a_changed_setting_are_found_and_mended(fresh: str) -> None:
    client = AdminClient({"bootstrap.servers": fresh})
    client.delete_topics(["events_clicks"])["events_clicks"].result()
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ResourceType.TOPIC, "events_views", incremental_configs=[entry])
    for future in client.incremental_alter_configs([change]).values():
        future.result()
    wanted = {("events_clicks", "create"), ("events_views", "configure")}
    assert {(each.topic, each.action) for each in apply(fresh, dry_run=True)} == wanted
    assert "events_clicks" not in describe(fresh), "a dry run changes nothing"
    assert {(each.topic, each.action) for each in apply(fresh)} == wanted
    assert apply(fresh, dry_run=True) == []


def test_another_number_of_partitions_is_refused(fresh: str) -> None:
    client = AdminClient({"bootstrap.servers": fresh})
    client.create_partitions([NewPartitions("events_views", 4)])["events_views"].result()
    with pytest.raises(ConfigurationError, match="events_views has 4 partitions on the broker and 3 in its file"):
        apply(fresh)


def test_a_broker_that_is_away_is_named() -> None:
    servers = f"127.0.0.1:{free_port()}"
    with pytest.raises(UnavailableError, match=servers):
        describe(servers)


def test_the_producer_tells_of_every_message(fresh: str) -> None:
    done: list[str | None] = []
    producer = EventProducer(fresh, client_id="test")
    for number in range(1000):
        producer.send("events_views", key=f"listener-{number % 7}", value=b"{}", on_done=done.append)
    assert producer.close() == 0
    assert done == [None] * 1000
    assert sum(describe(fresh)["events_views"].end_offsets.values()) == 1000


def test_the_producer_gives_up_in_time_and_refuses_when_full() -> None:
    failed = threading.Event()
    producer = EventProducer(f"127.0.0.1:{free_port()}", client_id="test", delivery_timeout_ms=500, queue_messages=2)
    errors: list[str | None] = []

    def told(error: str | None) -> None:
        errors.append(error)
        failed.set()

    producer.send("events_views", key="a", value=b"{}", on_done=told)
    producer.send("events_views", key="a", value=b"{}", on_done=told)
    with pytest.raises(UnavailableError, match="too many messages wait"):
        producer.send("events_views", key="a", value=b"{}", on_done=told)
    assert failed.wait(10)
    producer.close()
    assert len(errors) == 2
    assert all(errors)
