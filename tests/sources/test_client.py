"""The client against the real API and broker, and against a server that fails in every way a server can."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import uvicorn

from music_assets.sources import live, synthetic
from music_assets.sources.client import EventClient, Verdicts, send_messages
from music_assets.sources.feed import ForeignMessage, catalogue_messages
from music_assets.stack.process import free_port, wait_until
from serving.app import create_app
from streaming.errors import TimeoutExpiredError, UnavailableError
from streaming.producer import EventProducer
from streaming.topics import admin
from tests.conftest import MakeSettings

SIZE = synthetic.Size(listeners=60, artists=12, tracks=120, events=3000)


@pytest.fixture
def api(make_settings: MakeSettings, broker: str, database_url: str, redis_url: str) -> Iterator[str]:
    """URL of the real API in front of the real broker."""
    settings = make_settings(kafka_bootstrap_servers=broker, database_url=database_url, redis_url=redis_url)
    config = uvicorn.Config(create_app(settings), port=settings.api_port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="api")
    thread.start()
    assert wait_until(lambda: server.started, seconds=30)
    yield settings.api_url
    server.should_exit = True
    thread.join()


def test_an_undisturbed_run_gives_exactly_the_planted_verdicts_and_messages(api: str, broker: str) -> None:
    world = synthetic.build(11, datetime.now(UTC), SIZE)
    before = _ends(broker)
    with EventClient(api) as client, closing(EventProducer(broker, client_id="test")) as producer:
        assert send_messages(producer, world.feed.foreign) == (len(world.planted), 0)
        catalogue = list(catalogue_messages(world.feed.catalogue))
        assert send_messages(producer, catalogue) == (len(catalogue), 0)
        verdicts = client.post(world.feed.events())
    truth, after = world.feed.truth, _ends(broker)
    assert verdicts.posted == truth.posted
    assert verdicts.rejected == truth.rejected
    assert (verdicts.spooled, verdicts.doubtful, verdicts.repeated) == (0, 0, 0)
    for topic, each in truth.topics.items():
        assert after[topic] - before[topic] == each.received
    for topic, items in truth.catalogue.items():
        assert after[topic] - before[topic] == items


def test_a_live_load_keeps_its_rate_and_is_accepted(api: str, broker: str) -> None:
    load = live.Live(3, datetime.now(UTC), SIZE)
    live.send_catalogue(load, broker)
    with EventClient(api) as client:
        verdicts = live.run(client, load, rate=40, seconds=2)
    assert (verdicts.accepted, verdicts.posted) == (80, 80)


@pytest.mark.parametrize("fault", ["close", "503", "500"])
def test_a_batch_is_sent_again_until_it_is_answered(fault: str) -> None:
    with _server([fault, fault, "answer"]) as (url, bodies), EventClient(url, batch=2, connections=1) as client:
        verdicts = client.post([{"n": 1}, {"n": 2}])
    assert bodies == [[{"n": 1}, {"n": 2}]] * 3
    assert (verdicts.accepted, verdicts.repeated, verdicts.doubtful) == (2, 2, 4)


def test_a_batch_that_never_left_is_not_doubtful() -> None:
    with EventClient(f"http://127.0.0.1:{free_port()}", patience_seconds=1) as client:
        attempts = Verdicts()
        assert client._attempt(b"[]", 1, attempts) is not None
        assert attempts.doubtful == 0
        with pytest.raises(TimeoutExpiredError, match="took no events for 1 s"):
            client.post([{}])


def test_refusals_are_counted_by_field_and_all_refused_is_an_answer() -> None:
    with _server(["refuse"]) as (url, _), EventClient(url) as client:
        verdicts = client.post([{}, {}])
    assert verdicts.rejected == Counter(user_id=2)
    assert verdicts.posted == 2


@pytest.mark.parametrize("fault", ["forget", "404"])
def test_an_answer_that_is_none_ends_the_run(fault: str) -> None:
    with _server([fault]) as (url, _), EventClient(url) as client, pytest.raises(UnavailableError):
        client.post([{}, {}])


def test_a_stopped_run_does_not_go_on_trying() -> None:
    stop = threading.Event()
    stop.set()
    with EventClient(f"http://127.0.0.1:{free_port()}", stop=stop) as client, pytest.raises(UnavailableError):
        client.post([{}])


def test_messages_that_no_broker_takes_are_an_error_not_a_count() -> None:
    nowhere = EventProducer(f"127.0.0.1:{free_port()}", client_id="test", delivery_timeout_ms=1000)
    with closing(nowhere) as producer, pytest.raises(TimeoutExpiredError):
        send_messages(producer, [ForeignMessage("events_views", "k", b"{}")], patience_seconds=1)


def _ends(broker: str) -> dict[str, int]:
    return {name: sum(state.end_offsets.values()) for name, state in admin.describe(broker).items()}


@contextmanager
def _server(answers: list[str]) -> Iterator[tuple[str, list[Any]]]:
    """A server that does what `answers` says, request by request; gives its URL and the bodies it saw."""
    bodies: list[Any] = []
    script = iter(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events = json.loads(self.rfile.read(int(self.headers["content-length"])))
            bodies.append(events)
            match next(script):
                case "close":
                    self.connection.close()
                case "answer":
                    self._send(202, [{"verdict": "accepted"} for _ in events])
                case "refuse":
                    self._send(422, [{"verdict": "rejected", "field": "user_id"} for _ in events])
                case "forget":
                    self._send(202, [{"verdict": "accepted"}])
                case status:
                    self._send(int(status), [])

        def _send(self, status: int, results: list[dict[str, str]]) -> None:
            body = json.dumps({"results": results}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
