"""Erasure by the stream service, under load, and killed in the middle."""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from music_assets.stack.process import wait_until
from streaming.control import StreamClient
from streaming.errors import ConfigurationError, UnavailableError
from streaming.jobs.python_engine import PythonSilver
from streaming.jobs.service import StreamService
from streaming.ledger import totals
from tests.streaming.conftest import BRONZE, SILVER, Platform, event, recreate_topics
from tests.streaming.scanner import scan
from tests.streaming.test_erase import NEEDLES, PERSON, plant, planted
from tests.streaming.test_service import service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import MakeSettings

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture
def platform(broker: str, redis_url: str, make_settings: MakeSettings) -> Platform:
    """A platform whose only JVM is the service's."""
    recreate_topics(broker)
    return Platform(make_settings(kafka_bootstrap_servers=broker, redis_url=redis_url), None)  # type: ignore[arg-type]


class Load:
    """Events of others and of the one who is forgotten, all the time; and what the ledger said meanwhile.

    Attributes:
        sent: events of others so far.
        problems: what did not balance, and what ended a thread before its time.
    """

    def __init__(self, platform: Platform) -> None:
        self.sent = 0
        self.problems: list[str] = []
        self._platform = platform
        self._stopping = threading.Event()
        works = [(self._send, 0.1), (self._watch, 0.3)]
        self._threads = [threading.Thread(target=self._repeat, args=work) for work in works]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _repeat(self, work: Callable[[], None], pause: float) -> None:
        try:
            while not self._stopping.wait(pause):
                work()
        except Exception as error:
            self.problems.append(repr(error))

    def _send(self) -> None:
        first = 1_000 + self.sent
        self._platform.put("events_listens", *(event(first + each) for each in range(20)))
        self._platform.put("events_listens", planted(first, "listen"), planted(first + 1, "listen"))
        self.sent += 20

    def _watch(self) -> None:
        # A reader that opened a version before its files went reads again.
        with suppress(FileNotFoundError):
            self.problems += self._platform.problems()


def ask(client: StreamClient, answers: list[str]) -> None:
    try:
        answers.append(client.erase([PERSON], "first").erasure_id)
    except UnavailableError as error:
        answers.append(str(error))


def test_silver_that_begins_anew_is_no_fault_of_the_service(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = StreamService(platform.settings.model_copy(update={"stream_engine": "python"}), None)
    real, healthy = PythonSilver.start, []

    def start(silver: PythonSilver) -> None:
        healthy.append(service.healthy)
        real(silver)

    monkeypatch.setattr(PythonSilver, "start", start)
    serving = threading.Thread(target=service.serve)
    serving.start()
    try:
        service.erase([PERSON], "request")
        assert wait_until(lambda: len(healthy) == 1, seconds=20)
        service.run(SILVER)
    finally:
        service.stop()
        serving.join(20)
    assert healthy == [True]


def test_the_service_forgets_under_load_and_after_a_kill(platform: Platform, tmp_path: Path) -> None:
    client = StreamClient(platform.settings.stream_port)
    plant(platform)
    with ExitStack() as started:
        with service(platform, tmp_path) as process:
            load = started.enter_context(Load(platform))
            answers: list[str] = []
            asked = threading.Thread(target=ask, args=[client, answers])
            asked.start()
            tombstones = platform.settings.storage.folder / "lake" / "tombstones" / "_delta_log"
            assert wait_until(lambda: len(list(tombstones.glob("*.json"))) > 1, seconds=200)
            process.kill()
            process.wait(10)
            asked.join(10)
            assert len(answers) == 1
            assert "does not answer" in answers[0], "it was killed in the middle"
        with service(platform, tmp_path):
            receipt = client.erase([PERSON], "second")
            assert receipt.gone_at["lake"] is not None
            sent = load.sent
            assert wait_until(lambda: load.sent >= sent + 200, seconds=60), load.problems
            load.__exit__()
            client.run(SILVER)
            client.run(BRONZE)
            answer = httpx.post(f"http://127.0.0.1:{platform.settings.stream_port}/erase", content=PERSON)
            assert answer.status_code == 400
            assert PERSON not in answer.text
            with pytest.raises(ConfigurationError, match="at least one"):
                client.erase([], "third")
    assert load.problems == []
    assert platform.problems() == []
    assert scan(platform.settings.storage.folder, NEEDLES) == {}
    assert PERSON.encode() not in (tmp_path / "service.log").read_bytes()
    held = [row["event_id"] for row in platform.rows("silver/events_listens")]
    assert sorted(held) == sorted({f"event-{number}" for number in (*range(12), *range(1_000, 1_000 + load.sent))})
    assert totals(platform.lake)["events_listens"].erased >= load.sent / 10
