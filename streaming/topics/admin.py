"""Makes the broker's topics what their files say, and tells what the broker holds."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

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

from streaming.errors import ConfigurationError, MusicError, UnavailableError
from streaming.topics import topics
from streaming.topics.plan import Change, Held, differences, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_TIMEOUT_SECONDS: Final = 15.0

_AWAY: Final = frozenset(
    {
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_CONTROLLER,
    }
)
"""What a broker answers that cannot do what it is asked for now."""

_PASSING: Final = _AWAY | {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_ALREADY_EXISTS,
}
"""What passes by itself: a topic was created a moment ago, by us or by another who applies at the same time."""

T = TypeVar("T")


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


def compare(bootstrap_servers: str) -> list[Change]:
    """Return what separates the broker from the topics' files; nothing is changed.

    Raises:
        UnavailableError: the broker does not answer.
    """
    client = _client(bootstrap_servers)
    return _reach(bootstrap_servers, lambda: _differences(client))


def apply(bootstrap_servers: str, *, shrink: Collection[str] = (), leave: bool = False) -> list[Change]:
    """Create the topics that are missing and set the settings that differ.

    The whole plan is checked, by us and by the broker, before any of it is carried out. It never deletes a topic and
    never changes a number of partitions.

    Args:
        bootstrap_servers: the brokers.
        shrink: topics that may lose messages.
        leave: leave what would lose messages as it is, instead of refusing the plan: for a start, which must
            not fail because the broker keeps more than it has to.

    Returns:
        What was changed.

    Raises:
        ConfigurationError: the plan would lose messages or change a number of partitions, or the broker refuses it.
        UnavailableError: the broker does not answer.
    """
    client = _client(bootstrap_servers)
    plan = _reach(bootstrap_servers, lambda: _carry_out(client, shrink=shrink, leave=leave))
    created = {change.topic for change in plan if change.action == "create"}
    left = _reach(bootstrap_servers, lambda: _left_after(client, plan))
    # What a file does not set, a new topic has from the broker: that may be less than is needed.
    short = [change for change in left if change.topic in created]
    _reach(bootstrap_servers, lambda: _configure(client, short, validate_only=False))
    _reach(bootstrap_servers, lambda: _left_after(client, short))
    return plan + short


def describe(bootstrap_servers: str, *, seconds: float = _TIMEOUT_SECONDS) -> dict[str, TopicState]:
    """Return the registered topics that the broker has, by name.

    Args:
        bootstrap_servers: the brokers.
        seconds: how long the broker may take: one that is only starting needs more.

    Raises:
        UnavailableError: the broker does not answer.
    """
    client = _client(bootstrap_servers)
    return _reach(bootstrap_servers, lambda: _describe(client, seconds), seconds)


def newest_times(bootstrap_servers: str, *, seconds: float) -> dict[str, datetime]:
    """Return the broker's greatest time of a message by topic; a topic without one is not in it.

    Raises:
        UnavailableError: the broker does not answer.
    """
    client = _client(bootstrap_servers)
    return _reach(bootstrap_servers, lambda: _newest_times(client, seconds), seconds)


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


class TopicGuard:
    """Tells whether topics are still those a reader began with: it addresses them by name, and the name may pass to
    another topic whose offsets mean something else.

    Args:
        bootstrap_servers: the brokers.
        topic_ids: the broker's id of each topic.
    """

    def __init__(self, bootstrap_servers: str, topic_ids: Mapping[str, str]) -> None:
        self._servers = bootstrap_servers
        self._topic_ids = dict(topic_ids)
        self._client = _client(bootstrap_servers)

    def check(self) -> None:
        """Return if every topic is the same.

        Raises:
            UnavailableError: one was made anew or is gone, or the broker does not answer.
        """
        now = _reach(self._servers, lambda: _topic_ids(self._client, self._topic_ids))
        other = sorted(name for name, topic_id in self._topic_ids.items() if now.get(name) != topic_id)
        if other:
            raise UnavailableError(
                f"topic {', '.join(other)} was made anew while it was read; the next start begins with the new one"
            )


def _client(bootstrap_servers: str) -> AdminClient:
    # librdkafka's own log lines about a broker that is away say nothing our error does not.
    return AdminClient({"bootstrap.servers": bootstrap_servers, "socket.timeout.ms": 10_000, "log_level": 0})


def _reach(bootstrap_servers: str, action: Callable[[], T], seconds: float = _TIMEOUT_SECONDS) -> T:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                raise _translated(bootstrap_servers, error.args[0]) from error
            time.sleep(0.1)


def _translated(bootstrap_servers: str, error: KafkaError) -> MusicError:
    # Codes below zero are the client's own: it did not reach the broker.
    if error.code() < 0 or error.code() in _AWAY:
        return UnavailableError(f"the Kafka broker at {bootstrap_servers} does not answer ({error.name()}); is it up?")
    return ConfigurationError(f"the Kafka broker at {bootstrap_servers} refuses ({error.name()}): {error.str()}")


def _carry_out(client: AdminClient, *, shrink: Collection[str], leave: bool) -> list[Change]:
    plan = _differences(client)
    if leave:
        plan = [change for change in plan if change.action != "shrink"]
    refuse(plan, shrink)
    for validate_only in (True, False):
        _create(client, plan, validate_only=validate_only)
        _configure(client, plan, validate_only=validate_only)
    return plan


def _left_after(client: AdminClient, plan: Collection[Change]) -> list[Change]:
    """What differs once the broker shows that a plan was carried out: it answers before it does."""
    if not plan:
        return []
    done = {(change.topic, change.setting) for change in plan}
    left = _differences(client)
    if any((change.topic, change.setting) in done for change in left):
        raise KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT))
    return left


def _differences(client: AdminClient) -> list[Change]:
    found = client.list_topics(timeout=_TIMEOUT_SECONDS).topics
    partitions = {name: len(found[name].partitions) for name in topics() if name in found}
    settings = _settings(client, list(partitions))
    return [
        change
        for name, topic in topics().items()
        for change in differences(
            topic, Held(partitions=partitions[name], settings=settings[name]) if name in partitions else None
        )
    ]


def _settings(client: AdminClient, names: list[str]) -> dict[str, dict[str, str | None]]:
    if not names:
        return {}
    resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in names}
    futures = client.describe_configs(list(resources.values()), request_timeout=_TIMEOUT_SECONDS)
    return {
        name: {key: entry.value for key, entry in futures[resource].result().items()}
        for name, resource in resources.items()
    }


def _create(client: AdminClient, plan: list[Change], *, validate_only: bool) -> None:
    wanted = [topics()[change.topic] for change in plan if change.action == "create"]
    new = [
        NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=-1, config=topic.config)
        for topic in wanted
    ]
    if new:
        futures = client.create_topics(
            new, operation_timeout=_TIMEOUT_SECONDS, request_timeout=_TIMEOUT_SECONDS, validate_only=validate_only
        )
        for future in futures.values():
            future.result()


def _configure(client: AdminClient, plan: list[Change], *, validate_only: bool) -> None:
    entries: dict[str, list[ConfigEntry]] = defaultdict(list)
    for change in plan:
        if change.action in {"configure", "shrink"}:
            entry = ConfigEntry(change.setting, change.want, incremental_operation=AlterConfigOpType.SET)
            entries[change.topic].append(entry)
    if entries:
        resources = [
            ConfigResource(ResourceType.TOPIC, name, incremental_configs=each) for name, each in entries.items()
        ]
        futures = client.incremental_alter_configs(
            resources, request_timeout=_TIMEOUT_SECONDS, validate_only=validate_only
        )
        for future in futures.values():
            future.result()


def _describe(client: AdminClient, seconds: float) -> dict[str, TopicState]:
    found = client.list_topics(timeout=seconds).topics
    names = [name for name in topics() if name in found]
    if not names:
        return {}
    described = client.describe_topics(TopicCollection(names), request_timeout=seconds)
    descriptions = {name: future.result() for name, future in described.items()}
    pairs = [(name, part.id) for name, topic in descriptions.items() for part in topic.partitions]
    first = _offsets(client, pairs, OffsetSpec.earliest(), seconds)
    end = _offsets(client, pairs, OffsetSpec.latest(), seconds)
    return {
        name: TopicState(
            topic_id=str(topic.topic_id),
            partitions=len(topic.partitions),
            first_offsets={part.id: first[name, part.id] for part in topic.partitions},
            end_offsets={part.id: end[name, part.id] for part in topic.partitions},
        )
        for name, topic in sorted(descriptions.items())
    }


def _topic_ids(client: AdminClient, names: Collection[str]) -> dict[str, str]:
    described = client.describe_topics(TopicCollection(list(names)), request_timeout=_TIMEOUT_SECONDS)
    found = {}
    for name, future in described.items():
        try:
            found[name] = str(future.result().topic_id)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return found


def _newest_times(client: AdminClient, seconds: float) -> dict[str, datetime]:
    found = client.list_topics(timeout=seconds).topics
    pairs = [(name, partition) for name in topics() if name in found for partition in found[name].partitions]
    newest: dict[str, int] = {}
    for (name, _), at in _listed(client, pairs, OffsetSpec.max_timestamp(), seconds).items():
        if at.timestamp > 0:
            newest[name] = max(at.timestamp, newest.get(name, 0))
    return {name: datetime.fromtimestamp(at / 1000, UTC) for name, at in newest.items()}


def _offsets(
    client: AdminClient, pairs: list[tuple[str, int]], spec: OffsetSpec, seconds: float
) -> dict[tuple[str, int], int]:
    return {pair: at.offset for pair, at in _listed(client, pairs, spec, seconds).items()}


def _listed(
    client: AdminClient, pairs: list[tuple[str, int]], spec: OffsetSpec, seconds: float
) -> dict[tuple[str, int], Any]:
    if not pairs:
        return {}
    wanted = {TopicPartition(name, partition): spec for name, partition in pairs}
    futures = client.list_offsets(wanted, request_timeout=seconds)
    return {(at.topic, at.partition): future.result() for at, future in futures.items()}
