"""Makes the broker's topics what their files say, and tells what the broker holds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from streaming.errors import ConfigurationError, UnavailableError
from streaming.topics import topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from streaming.topics import Topic

_TIMEOUT_SECONDS: Final = 15.0

_PASSING: Final = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
"""What a broker answers for a topic that was created a moment ago."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between the broker and a topic's file.

    Attributes:
        topic: its name.
        action: what was done, or would be in a dry run.
        detail: the difference, for people.
    """

    topic: str
    action: Literal["create", "configure"]
    detail: str


@dataclass(frozen=True, kw_only=True)
class TopicState:
    """A topic as the broker holds it.

    Attributes:
        topic_id: the broker's own id; a re-created topic has another one.
        partitions: their number.
        first_offsets: by partition, the oldest offset that is still there.
        end_offsets: by partition, the offset the next message gets.
    """

    topic_id: str
    partitions: int
    first_offsets: dict[int, int]
    end_offsets: dict[int, int]


def apply(bootstrap_servers: str, *, dry_run: bool = False) -> list[Change]:
    """Create the topics that are missing and set the settings that differ.

    Never deletes a topic and never changes a partition count.

    Raises:
        ConfigurationError: the broker has another number of partitions than a topic's file.
        UnavailableError: the broker does not answer.
    """
    client = _client(bootstrap_servers)
    partitions = _reach(bootstrap_servers, lambda: _partition_counts(client))
    changes = [change for topic in topics().values() if (change := _missing(topic, partitions))]
    present = [topic for topic in topics().values() if topic.name in partitions]
    differing = _reach(bootstrap_servers, lambda: _differing(client, present))
    changes += [
        Change(topic=name, action="configure", detail=", ".join(f"{key}={value}" for key, value in values.items()))
        for name, values in differing.items()
    ]
    if not dry_run:
        _reach(bootstrap_servers, lambda: _carry_out(client, changes, differing))
    return changes


def describe(bootstrap_servers: str) -> dict[str, TopicState]:
    """Return the registered topics that the broker has, by name.

    Raises:
        UnavailableError: the broker does not answer.
    """
    client = _client(bootstrap_servers)
    return _reach(bootstrap_servers, lambda: _describe(client))


def required_topics(bootstrap_servers: str) -> dict[str, TopicState]:
    """Return every registered topic as the broker holds it.

    Raises:
        UnavailableError: the broker does not answer, or lacks one of them.
    """
    found = describe(bootstrap_servers)
    missing = topics().keys() - found.keys()
    if missing:
        raise UnavailableError(
            f"the broker has no topic {', '.join(sorted(missing))}; create them with `music topics apply`"
        )
    return found


def _client(bootstrap_servers: str) -> AdminClient:
    # librdkafka's own log lines about a broker that is away say nothing our error does not.
    return AdminClient({"bootstrap.servers": bootstrap_servers, "socket.timeout.ms": 10_000, "log_level": 0})


def _reach(bootstrap_servers: str, action: Callable[[], T]) -> T:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            return action()
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                raise _unavailable(bootstrap_servers, error) from error
            time.sleep(0.1)


def _unavailable(bootstrap_servers: str, error: KafkaException) -> UnavailableError:
    return UnavailableError(
        f"the Kafka broker at {bootstrap_servers} does not answer ({error.args[0].name()}); is it up?"
    )


def _partition_counts(client: AdminClient) -> dict[str, int]:
    found = client.list_topics(timeout=_TIMEOUT_SECONDS).topics
    return {name: len(topic.partitions) for name, topic in found.items()}


def _missing(topic: Topic, partitions: dict[str, int]) -> Change | None:
    have = partitions.get(topic.name)
    if have is None:
        return Change(topic=topic.name, action="create", detail=f"{topic.partitions} partitions")
    if have != topic.partitions:
        raise ConfigurationError(
            f"topic {topic.name} has {have} partitions on the broker and {topic.partitions} in its file; "
            "a change would move listeners to other partitions: make a new topic and cut over"
        )
    return None


def _differing(client: AdminClient, present: list[Topic]) -> dict[str, dict[str, str]]:
    if not present:
        return {}
    resources = {topic.name: ConfigResource(ResourceType.TOPIC, topic.name) for topic in present}
    futures = client.describe_configs(list(resources.values()), request_timeout=_TIMEOUT_SECONDS)
    differing: dict[str, dict[str, str]] = {}
    for topic in present:
        have = futures[resources[topic.name]].result()
        values = {key: value for key, value in topic.config.items() if have[key].value != value}
        if values:
            differing[topic.name] = values
    return differing


def _carry_out(client: AdminClient, changes: list[Change], differing: dict[str, dict[str, str]]) -> None:
    wanted = [topics()[change.topic] for change in changes if change.action == "create"]
    new = [
        NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=-1, config=topic.config)
        for topic in wanted
    ]
    futures: list[Future[None]] = []
    if new:
        futures += client.create_topics(new, request_timeout=_TIMEOUT_SECONDS).values()
    if differing:
        resources = [_alteration(name, values) for name, values in differing.items()]
        futures += client.incremental_alter_configs(resources, request_timeout=_TIMEOUT_SECONDS).values()
    for future in futures:
        future.result()


def _alteration(name: str, values: dict[str, str]) -> ConfigResource:
    entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in values.items()]
    return ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)


def _describe(client: AdminClient) -> dict[str, TopicState]:
    names = [name for name in topics() if name in _partition_counts(client)]
    if not names:
        return {}
    described = client.describe_topics(TopicCollection(names), request_timeout=_TIMEOUT_SECONDS)
    descriptions = {name: future.result() for name, future in described.items()}
    pairs = [(name, part.id) for name, topic in descriptions.items() for part in topic.partitions]
    first = _offsets(client, pairs, OffsetSpec.earliest())
    end = _offsets(client, pairs, OffsetSpec.latest())
    return {
        name: TopicState(
            topic_id=str(topic.topic_id),
            partitions=len(topic.partitions),
            first_offsets={part.id: first[name, part.id] for part in topic.partitions},
            end_offsets={part.id: end[name, part.id] for part in topic.partitions},
        )
        for name, topic in sorted(descriptions.items())
    }


def _offsets(client: AdminClient, pairs: list[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
    wanted = {TopicPartition(name, partition): spec for name, partition in pairs}
    futures = client.list_offsets(wanted, request_timeout=_TIMEOUT_SECONDS)
    return {(at.topic, at.partition): future.result().offset for at, future in futures.items()}
