"""A lake of its own and empty topics for every test that streams."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streaming.errors import UnavailableError
from streaming.jobs import python_engine, run_once
from streaming.lake import Lake
from streaming.settings import Settings
from streaming.tables import tables
from streaming.topics import topics
from streaming.topics.admin import apply, describe
from streaming.transforms import messages

if TYPE_CHECKING:
    from types import ModuleType

    import pyarrow as pa
    from pyspark.sql import SparkSession

    from tests.conftest import MakeSettings

SILVER = "stream_kafka_to_silver"
BRONZE = "stream_kafka_to_bronze"
TRENDING = "stream_trending_to_gold"


def recreate_topics(bootstrap_servers: str) -> None:
    """Delete and make every topic, so that each has a new id and no message."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    for future in client.delete_topics(list(topics()), operation_timeout=10).values():
        with suppress(KafkaException):  # not there: nothing to delete
            future.result()
    deadline = time.monotonic() + 20
    while _present(bootstrap_servers) != 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    apply(bootstrap_servers)
    while _present(bootstrap_servers) != len(topics()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _present(bootstrap_servers: str) -> int | None:
    """How many topics there are; None while the broker's answers contradict each other about one that goes or comes."""
    try:
        return len(describe(bootstrap_servers))
    except UnavailableError:
        return None


@dataclass
class Platform:
    """A broker with empty topics and a lake of its own."""

    settings: Settings
    spark: SparkSession
    lake: Lake = field(init=False)

    def __post_init__(self) -> None:
        self.lake = Lake(self.settings.storage)

    def put(self, topic: str, *messages: Any, key: str | None = None, partition: int | None = None) -> None:
        """Put messages: bytes and None as they are, dicts as JSON under the key their topic asks for."""
        producer = Producer({"bootstrap.servers": self.settings.bootstrap_servers, "linger.ms": 5})
        for message in messages:
            value = json.dumps(message).encode() if isinstance(message, dict) else message
            name = key or (message[topics()[topic].key] if isinstance(message, dict) else "broken")
            extra = {} if partition is None else {"partition": partition}
            producer.produce(topic, key=name.encode(), value=value, headers=[("traceparent", b"00")], **extra)
            producer.poll(0)
        assert producer.flush(30) == 0

    def run(self, job: str = SILVER, **overrides: Any) -> None:
        run_once(job, self.settings.model_copy(update=overrides), self.spark)

    @property
    def feed(self) -> ModuleType:
        """The module whose `stage` the engine calls."""
        return python_engine if self.settings.stream_engine == "python" else messages

    def rows(self, table: str) -> list[dict[str, Any]]:
        read: pa.Table = self.lake.read(tables()[table])
        rows: list[dict[str, Any]] = read.to_pylist()
        return rows

    def problems(self) -> list[str]:
        from streaming.ledger import problems

        return problems(self.lake, describe(self.settings.bootstrap_servers))


def event(number: int, *, kind: str = "listen", **fields: Any) -> dict[str, Any]:
    """A valid event; numbers below 100 are different events of ten listeners."""
    return {
        "event_id": f"event-{number}",
        "user_id": f"listener-{number % 10}",
        "event_type": kind,
        "item_id": f"track:{number % 7}",
        "timestamp": datetime(2026, 1, 1, 12, number % 60, tzinfo=UTC).isoformat(),
        **({"rating": 4.5} if kind == "rating" else {}),
        **fields,
    }


@pytest.fixture(params=["spark", "python"])
def engine(request: pytest.FixtureRequest) -> str:
    """Both engines: a test that streams holds for each."""
    return str(request.param)


@pytest.fixture
def platform(broker: str, redis_url: str, spark: SparkSession, make_settings: MakeSettings, engine: str) -> Platform:
    recreate_topics(broker)
    settings = make_settings(
        kafka_bootstrap_servers=broker, redis_url=redis_url, stream_engine=engine, silver_interval_seconds=0.5
    )
    return Platform(settings, spark)
