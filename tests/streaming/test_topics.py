"""The broker's topics against their files, and the producer, on a real broker."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from music_assets.stack.process import free_port
from streaming.errors import ConfigurationError, UnavailableError
from streaming.producer import EventProducer
from streaming.topics import Topic, topics
from streaming.topics.admin import apply, compare, describe
from streaming.topics.plan import Change, Held, differences
from tests.streaming.conftest import recreate_topics

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fresh(broker: str) -> Iterator[str]:
    """Bootstrap servers of a broker with empty topics, left so for the tests after this one."""
    recreate_topics(broker)
    yield broker
    recreate_topics(broker)


@pytest.fixture
def client(fresh: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": fresh, "log_level": 0})


def configure(client: AdminClient, topic: str, **settings: str) -> None:
    """Set a topic's settings by hand."""
    entries = _entries(settings, AlterConfigOpType.SET)
    _alter(client, ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries))
    for name, value in settings.items():
        wait_until(client, topic, name, value)


def configure_broker(client: AdminClient, operation: AlterConfigOpType, **settings: str) -> None:
    """Change the broker's defaults."""
    _alter(client, ConfigResource(ResourceType.BROKER, "1", incremental_configs=_entries(settings, operation)))


def _entries(settings: dict[str, str], operation: AlterConfigOpType) -> list[ConfigEntry]:
    return [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=operation) for name, value in settings.items()
    ]


def _alter(client: AdminClient, resource: ConfigResource) -> None:
    for future in client.incremental_alter_configs([resource]).values():
        future.result()


def wait_until(client: AdminClient, topic: str, setting: str, value: str) -> None:
    """A broker answers before it shows what it was told."""
    deadline = time.monotonic() + 20
    while held(client, topic, setting.replace("_", ".")) != value:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def held(client: AdminClient, topic: str, setting: str) -> str | None:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    value: str | None = client.describe_configs([resource])[resource].result()[setting].value
    return value


def drop(client: AdminClient, *names: str) -> None:
    for future in client.delete_topics(list(names), operation_timeout=10).values():
        future.result()
    deadline = time.monotonic() + 20
    while client.list_topics(timeout=5).topics.keys() & set(names):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def actions(changes: list[Change]) -> set[tuple[str, str, str]]:
    return {(each.topic, each.action, each.setting) for each in changes}


def test_applied_topics_are_what_their_files_say(fresh: str, client: AdminClient) -> None:
    states = describe(fresh)
    assert {name: state.partitions for name, state in states.items()} == {
        name: topic.partitions for name, topic in topics().items()
    }
    assert compare(fresh) == []
    assert len({state.topic_id for state in states.values()}) == len(states)
    assert held(client, "events_views", "retention.ms") == str(7 * 86_400_000)
    assert held(client, "events_listens", "retention.ms") == str(30 * 86_400_000)
    assert held(client, "catalog_songs", "cleanup.policy") == "compact"


def test_a_missing_topic_and_settings_that_keep_too_little_are_found_and_mended(
    fresh: str, client: AdminClient
) -> None:
    drop(client, "events_clicks")
    configure(client, "events_views", retention_ms="1000", retention_bytes="5000", max_message_bytes="1000")
    configure(client, "catalog_songs", cleanup_policy="compact,delete", delete_retention_ms="1000")
    wanted = {
        ("events_clicks", "create", "partitions"),
        ("events_views", "configure", "retention.ms"),
        ("events_views", "configure", "retention.bytes"),
        ("events_views", "configure", "max.message.bytes"),
        ("catalog_songs", "configure", "cleanup.policy"),
        ("catalog_songs", "configure", "delete.retention.ms"),
    }
    assert actions(compare(fresh)) == wanted
    assert "events_clicks" not in describe(fresh), "to compare changes nothing"
    assert actions(apply(fresh)) == wanted
    assert compare(fresh) == []
    assert held(client, "events_views", "retention.bytes") == "-1"


def test_what_the_broker_may_have_higher_is_left_alone(fresh: str, client: AdminClient) -> None:
    configure(client, "events_views", max_message_bytes="5000000", min_insync_replicas="1")
    configure(client, "catalog_songs", delete_retention_ms=str(60 * 86_400_000))
    assert apply(fresh) == []
    assert held(client, "events_views", "max.message.bytes") == "5000000"


@pytest.mark.parametrize(
    ("topic", "setting", "have", "sentence"),
    [
        ("events_views", "retention_ms", str(90 * 86_400_000),
         "retention.ms is 7776000000 (90 days) on the broker and 604800000 (7 days) in its file"),
        ("events_listens", "retention_ms", "-1",
         "retention.ms is -1 (no limit) on the broker and 2592000000 (30 days) in its file"),
        ("events_views", "cleanup_policy", "compact", "cleanup.policy is compact on the broker and delete in its file"),
        ("catalog_songs", "cleanup_policy", "delete", "cleanup.policy is delete on the broker and compact in its file"),
    ],
)  # fmt: skip
def test_what_would_lose_messages_is_refused_before_anything_is_done(
    fresh: str, client: AdminClient, topic: str, setting: str, have: str, sentence: str
) -> None:
    drop(client, "events_clicks")
    configure(client, "events_ratings", retention_ms="1000")
    configure(client, topic, **{setting: have})
    for shrink in ((), ("catalog_albums",)):
        with pytest.raises(ConfigurationError) as refused:
            apply(fresh, shrink=shrink)
        assert str(refused.value) == (
            f"topic {topic}: {sentence}, which throws messages away: "
            f"accept it with `music topics apply --shrink {topic}`, or keep more in the file"
        )
        assert held(client, topic, setting.replace("_", ".")) == have
        assert "events_clicks" not in describe(fresh), "the harmless part of a refused plan waits as well"
        assert held(client, "events_ratings", "retention.ms") == "1000"
    done = apply(fresh, shrink=[topic])
    assert ("events_clicks", "create", "partitions") in actions(done)
    assert (topic, "shrink", setting.replace("_", ".")) in actions(done)
    assert compare(fresh) == []


def test_every_refusal_is_in_the_one_error(fresh: str, client: AdminClient) -> None:
    client.create_partitions([NewPartitions("events_views", 4)])["events_views"].result()
    configure(client, "events_clicks", retention_ms="-1")
    configure(client, "events_listens", retention_ms="-1")
    with pytest.raises(ConfigurationError) as refused:
        apply(fresh, shrink=["events_views", "events_listens"])
    partitions, retention = str(refused.value).split("; ")
    assert partitions.startswith("topic events_views has 4 partitions on the broker and 3 in its file")
    assert retention.startswith("topic events_clicks: retention.ms is -1 (no limit)")


def test_a_start_leaves_what_would_lose_messages(fresh: str, client: AdminClient) -> None:
    configure(client, "events_views", retention_ms="-1")
    configure(client, "events_ratings", retention_ms="1000")
    assert actions(apply(fresh, leave=True)) == {("events_ratings", "configure", "retention.ms")}
    assert held(client, "events_views", "retention.ms") == "-1"
    assert actions(compare(fresh)) == {("events_views", "shrink", "retention.ms")}


@pytest.mark.parametrize("partitions", [4, 2])
def test_another_number_of_partitions_is_refused_whatever_is_accepted(
    fresh: str, client: AdminClient, partitions: int
) -> None:
    drop(client, "events_views")
    client.create_topics([NewTopic("events_views", num_partitions=partitions)])["events_views"].result()
    sentence = f"events_views has {partitions} partitions on the broker and 3 in its file, which no option accepts"
    for options in ({}, {"shrink": ["events_views"]}, {"leave": True}):
        with pytest.raises(ConfigurationError, match=sentence):
            apply(fresh, **options)
    assert describe(fresh)["events_views"].partitions == partitions


def test_a_topic_to_shrink_that_does_not_exist_is_named(fresh: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no topic events_view to shrink; valid: catalog_albums, "):
        apply(fresh, shrink=["events_view"])


def test_what_the_broker_refuses_stops_the_whole_plan(
    fresh: str, client: AdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(client, "events_clicks")
    broken = {"events_views": {"cleanup.policy": "nonsense"}}
    monkeypatch.setattr(Topic, "config", property(lambda topic: broken.get(topic.name, {})))
    # Not one of the policies that are there, so not a change that could be told harmless from outside.
    with pytest.raises(ConfigurationError, match=r"refuses \(INVALID_CONFIG\): .*nonsense"):
        apply(fresh, shrink=["events_views"])
    assert "events_clicks" not in describe(fresh)


def test_a_new_topic_on_a_broker_with_small_defaults_gets_what_is_needed(fresh: str, client: AdminClient) -> None:
    drop(client, "events_clicks", "catalog_songs")
    small = {"message_max_bytes": "2000", "log_retention_bytes": "1000", "log_cleaner_delete_retention_ms": "1000"}
    configure_broker(client, AlterConfigOpType.SET, **small)
    try:
        wait_until(client, "events_views", "max.message.bytes", "2000")
        wait_until(client, "catalog_albums", "delete.retention.ms", str(7 * 86_400_000))
        done = actions(apply(fresh))
        assert {("events_clicks", "create", "partitions"), ("catalog_songs", "create", "partitions")} <= done
        assert ("catalog_songs", "configure", "delete.retention.ms") in done
        for name in topics():
            assert held(client, name, "max.message.bytes") == "1048588", name
        assert held(client, "events_clicks", "retention.bytes") == "-1"
        assert compare(fresh) == []
    finally:
        configure_broker(client, AlterConfigOpType.DELETE, **small)


def test_many_who_apply_at_once_agree(fresh: str, client: AdminClient) -> None:
    drop(client, *topics())
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(apply, fresh) for _ in range(6)]:
            done.result()
    assert compare(fresh) == []
    assert describe(fresh).keys() == topics().keys()


@pytest.mark.parametrize(
    ("setting", "have", "want"),
    [
        ("retention.ms", "604800001", "shrink"),
        ("retention.ms", "604799999", "configure"),
        ("retention.ms", "-1", "shrink"),
        ("retention.ms", None, "configure"),
        ("retention.bytes", "1", "configure"),
        ("cleanup.policy", "compact,delete", "configure"),
        ("cleanup.policy", "delete, compact", "configure"),
        ("cleanup.policy", "compact", "shrink"),
        ("cleanup.policy", "", "shrink"),
        ("compression.type", "gzip", "configure"),
        ("unclean.leader.election.enable", "true", "configure"),
        ("max.message.bytes", "1048587", "configure"),
        ("max.message.bytes", "1048588", None),
        ("max.message.bytes", "9000000", None),
    ],
)
def test_each_difference_is_harmless_or_not(setting: str, have: str | None, want: str | None) -> None:
    topic = topics()["events_views"]
    settings = {**topic.config, **{name: str(least) for name, least in topic.least.items()}, setting: have}
    found = differences(topic, Held(partitions=3, settings=settings))
    assert [each.action for each in found] == ([] if want is None else [want])


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
