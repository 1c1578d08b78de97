"""What the features of a set of events must be, and the job as a process on real servers."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import redis
from confluent_kafka import Producer

from music_assets.stack.process import wait_until
from streaming import online
from streaming.control import FEATURES, FEATURES_ASSET, StreamClient
from streaming.events import EventType
from streaming.features import RECENT_ITEMS, Features, RecentItem, microseconds
from streaming.jobs import features
from streaming.topics import event_topic
from tests.fixtures.metrics import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from streaming.settings import Settings

Event = dict[str, Any]


def events(count: int, *, seed: int, listeners: int = 40, days: float = 2) -> list[Event]:
    """Different events of some listeners, out of order, some days old at most; every tenth is sent twice."""
    draw = random.Random(seed)
    now = datetime.now(UTC)
    sent: list[Event] = []
    for number in range(count):
        kind = draw.choice(list(EventType))
        sent.append(
            {
                "event_id": f"{seed}-{number}",
                "user_id": f"listener-{draw.randrange(listeners)}",
                "event_type": kind.value,
                "item_id": f"track:{draw.randrange(200)}",
                "timestamp": (now - timedelta(days=draw.random() * days)).isoformat(),
                **({"rating": 3.5} if kind is EventType.RATING else {}),
            }
        )
        if number % 10 == 9:
            sent.append(sent[draw.randrange(len(sent))])
    return sent


def expected(sent: Sequence[Event], *, now: datetime) -> dict[str, Features]:
    """Count by hand: each id once per type, whenever and however often it was sent."""
    unique = {(event["event_type"], event["event_id"]): event for event in reversed(sent)}
    of: dict[str, list[Event]] = defaultdict(list)
    for event in unique.values():
        of[event["user_id"]].append(event)
    return {listener: _features(own, now) for listener, own in of.items()}


def _features(own: list[Event], now: datetime) -> Features:
    def counted(since: datetime) -> dict[EventType, int]:
        return {kind: sum(e["event_type"] == kind and _time(e) >= since for e in own) for kind in EventType}

    latest: dict[tuple[int, str], int] = {}
    for event in own:
        pair = list(EventType).index(EventType(event["event_type"])), event["item_id"]
        latest[pair] = max(microseconds(_time(event)), latest.get(pair, 0))
    recent = sorted(((at, *pair) for pair, at in latest.items()), reverse=True)[:RECENT_ITEMS]
    return Features(
        since=None, last_seen=max(map(_time, own)), total=counted(datetime(1970, 1, 1, tzinfo=UTC)),
        last_day=counted(now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)),
        recent=[RecentItem(*row) for row in recent],
    )  # fmt: skip


def _time(event: Event) -> datetime:
    return datetime.fromisoformat(event["timestamp"])


@dataclass
class Listeners:
    """Empty event topics, an empty Redis, and the job between them."""

    settings: Settings
    folder: Path
    redis: redis.Redis = field(init=False)

    def __post_init__(self) -> None:
        self.redis = redis.Redis.from_url(self.settings.redis)

    @property
    def client(self) -> StreamClient:
        return StreamClient(self.settings.features_port)

    def put(self, *sent: Event, gap_seconds: float = 0) -> None:
        producer = Producer({"bootstrap.servers": self.settings.bootstrap_servers, "linger.ms": 5})
        pause = threading.Event()
        for number, event in enumerate(sent):
            topic = event_topic(EventType(event["event_type"])).name
            producer.produce(topic, key=event["user_id"].encode(), value=json.dumps(event).encode())
            producer.poll(0)
            if gap_seconds and number % 20 == 0:
                pause.wait(20 * gap_seconds)
        assert producer.flush(60) == 0

    def put_raw(self, topic: str, *values: bytes | None, key: str | None = "broken", partition: int = -1) -> None:
        producer = Producer({"bootstrap.servers": self.settings.bootstrap_servers, "linger.ms": 5})
        for value in values:
            producer.produce(topic, key=key.encode() if key else None, value=value, partition=partition)
        assert producer.flush(30) == 0

    def catch_up(self) -> int:
        """Run the job once; returns the events it counted."""
        return features.run_once(self.settings).tables[FEATURES_ASSET].rows_added

    def held(self, *, now: datetime) -> dict[str, Features]:
        """What Redis holds of every listener, without the time when counting began."""
        names = [name.decode().removeprefix(online.key("")) for name in self.redis.scan_iter(f"{online.key('')}*")]
        found = online.read(self.redis, names, now=now)
        return {
            name: Features(
                since=None, last_seen=each.last_seen, total=each.total, last_day=each.last_day, recent=each.recent
            )
            for name, each in zip(names, found, strict=True)
        }

    def names(self, needle: bytes) -> list[bytes]:
        """Return the keys in Redis that a needle stands in, or whose content it does."""
        return [name for name in self.redis.keys("*") if needle in name or needle in self._content(name)]

    def _content(self, name: bytes) -> bytes:
        found = self.redis.get(name) if self.redis.type(name) == b"string" else b"".join(self.redis.smembers(name))
        assert isinstance(found, bytes)
        return found

    def assert_holds(self, sent: Sequence[Event]) -> None:
        """Hold Redis against a count by hand."""
        now = datetime.now(UTC)
        held, wanted = self.held(now=now), expected(sent, now=now)
        assert held.keys() == wanted.keys()
        for name, each in wanted.items():
            assert held[name] == each, name

    def metric(self, name: str) -> float:
        """The value of one sample of the service, by its name with labels."""
        return sample(httpx.get(f"http://127.0.0.1:{self.settings.features_port}/metrics").text, name)

    def outcome(self, topic: str, outcome: str) -> float:
        return self.metric(f'stream_rows_total{{outcome="{outcome}",query="{FEATURES}",topic="{topic}"}}')

    @contextmanager
    def service(self, **overrides: Any) -> Iterator[subprocess.Popen[bytes]]:
        """The job as a process of its own; killed when the block ends, if it still runs."""
        chosen = self.settings.model_copy(update=overrides)
        names = ("music_home", "kafka_bootstrap_servers", "redis_url", "features_port")
        environment = {name.upper(): str(getattr(chosen, name)) for name in names}
        with (self.folder / "features.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "streaming.jobs", FEATURES],
                env={"PATH": "/usr/bin:/bin", **environment}, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            client = StreamClient(chosen.features_port)
            assert wait_until(lambda: client.alive() or process.poll() is not None, seconds=60), self.log()
            assert process.poll() is None, self.log()
            yield process
        finally:
            process.kill()
            process.wait(10)

    def log(self) -> str:
        return (self.folder / "features.log").read_text()[-3000:]


class Cut:
    """A door to Redis that, when the next batch is written, does what a test asks for, at exactly that moment.

    Args:
        port: of the Redis behind it.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._armed: tuple[Callable[[], object], bool] | None = None
        self.happened = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def at_next_write(self, action: Callable[[], object], *, deliver: bool) -> None:
        """Do this when a batch comes: before it reaches Redis, or after it did and before the answer is seen."""
        self.happened.clear()
        self._armed = action, deliver

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                pending: list[Callable[[], object]] = []
                threading.Thread(target=self._ask, args=(client, server, pending), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client, pending), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, pending: list[Callable[[], object]]) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 20):
                if self._armed and b"'SADD'" in data:
                    (action, deliver), self._armed = self._armed, None
                    if not deliver:
                        self._act(action, client, server)
                        return
                    pending.append(action)
                server.sendall(data)
        server.close()

    def _answer(self, server: socket.socket, client: socket.socket, pending: list[Callable[[], object]]) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 20):
                if pending:
                    self._act(pending.pop(), client, server)
                    return
                client.sendall(data)
        client.close()

    def _act(self, action: Callable[[], object], *connections: socket.socket) -> None:
        action()
        for each in connections:
            # Closing alone would not wake the other thread that waits for it.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.happened.set()


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a service in order and return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(30)
