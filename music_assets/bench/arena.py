"""A broker and a folder of its own for one measurement; both are gone when it ends."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from confluent_kafka import Producer

from music_assets.bench.machine import cpu_seconds
from music_assets.stack import servers
from music_assets.stack.jars import fetch, needed
from music_assets.stack.process import free_port
from music_assets.stack.single import running
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from music_assets.bench.workload import Message
    from music_assets.settings import Settings

_PORTS: Final = (
    "kafka_port", "postgres_embedded_port", "redis_port", "api_port", "dagster_port", "stream_port", "features_port",
)  # fmt: skip
_FLUSH_SECONDS: Final = 120.0
_PACE_SECONDS: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Arena:
    """Where a measurement runs.

    Attributes:
        settings: of the broker; a lake of its own comes from `placed`.
        home: folder of everything.
        broker_pid: process id of the broker, whose work does not count.
    """

    settings: Settings
    home: Path
    broker_pid: int

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """Make an empty folder under a name never used before, and take it away at the end of the block."""
        path = self.home / "work" / f"{name}-{uuid4().hex[:8]}"
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def cpu_seconds(self) -> float:
        """Return the processor time of this process and its children so far, without the broker's."""
        return cpu_seconds(without={self.broker_pid})


def placed(settings: Settings, lake: Path) -> Settings:
    """Return the same settings with another lake."""
    return settings.model_copy(update={"lakehouse_path": str(lake)})


@contextmanager
def arena(settings: Settings) -> Iterator[Arena]:
    """Start a broker with all topics, below the platform's home, and take everything away at the end.

    Raises:
        StackError: the broker does not start.
    """
    settings.music_home.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="bench-", dir=settings.music_home))
    try:
        fetch(settings.jars_path, needed(settings))
        ports = {name: free_port() for name in _PORTS}
        own = settings.model_copy(
            update={"music_home": home, "kafka_bootstrap_servers": "", "redis_url": None, "lakehouse_path": "", **ports}
        )
        broker = servers.kafka(own)
        with running(broker, home) as process:
            broker.complete()
            yield Arena(settings=own, home=home, broker_pid=process.pid)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def produce(bootstrap_servers: str, chunks: Iterable[list[Message]], *, rate: float | None = None) -> float:
    """Put messages on their topics, compressed with lz4; return the seconds it took.

    Args:
        bootstrap_servers: the broker.
        chunks: the messages.
        rate: messages a second at most; None: as fast as it goes.

    Raises:
        UnavailableError: the broker does not take them.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers, "compression.type": "lz4", "linger.ms": 20, "acks": "all",
            "enable.idempotence": True, "queue.buffering.max.messages": 1_000_000, "log_level": 0,
        }
    )  # fmt: skip
    started, sent = time.monotonic(), 0
    for chunk in chunks:
        for topic, key, value in chunk:
            _put(producer, topic, key, value)
        sent += len(chunk)
        while rate is not None and sent / rate > time.monotonic() - started:
            producer.poll(_PACE_SECONDS)
    left = producer.flush(_FLUSH_SECONDS)
    if left:
        raise UnavailableError(f"{left} messages were not taken by the broker at {bootstrap_servers}")
    return time.monotonic() - started


def _put(producer: Producer, topic: str, key: bytes, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, key=key, value=value)
        except BufferError:
            producer.poll(_PACE_SECONDS)
        else:
            return
