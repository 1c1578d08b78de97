"""The API as a process of its own beside full-sized stores, and a bare FastAPI: what `music bench serve` measures."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import TYPE_CHECKING, Final

from music_assets.bench import serve_world
from music_assets.bench.http_load import closed, request
from music_assets.bench.report import Requirement, Rows, number
from music_assets.settings import child_environment
from music_assets.stack import applications, servers
from music_assets.stack.parts import Part
from music_assets.stack.process import free_port, port_is_open, wait_until
from music_assets.stack.single import running
from streaming.errors import TimeoutExpiredError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from music_assets.bench.arena import Arena
    from music_assets.bench.figures import Spread

CONNECTIONS: Final = 32
"""A service under load has more than one request at a time in each turn of its loop; all sides alike."""

_P99_LIMIT_MS: Final = 25.0
"""Of the whole two-stage path at a steady rate."""

_PATIENCE: Final = 60.0
_BATCH: Final = 100
_FEWEST: Final = 20
_DIFFERENT_KS: Final = 20


@dataclass(frozen=True, kw_only=True)
class Place:
    """A process that answers."""

    port: int
    pid: int


@contextmanager
def served(arena: Arena, *, listeners: int, items: int, say: Callable[[str], None]) -> Iterator[Place]:
    """Run the API, metrics and traces on, over its stores; it knows every listener when the block begins.

    Raises:
        MusicError: a part does not start, or recommends nothing.
    """
    settings = arena.settings
    with (
        running(postgres := servers.postgres(settings), arena.home),
        running(servers.redis_server(settings), arena.home),
        _collector() as traces,
    ):
        postgres.complete()
        say(f"filling: {listeners:,} listeners, {items:,} items")
        serve_world.fill(settings, listeners=listeners, items=items)
        environment = {**child_environment(settings), "OTEL_EXPORTER_OTLP_ENDPOINT": traces}
        with running(applications.api(settings), arena.home, environment=environment) as api:
            place = Place(port=settings.api_port, pid=api.pid)
            _meet(place, serve_world.users(listeners))
            yield place


@contextmanager
def bare(arena: Arena) -> Iterator[Place]:
    """Run a FastAPI that only says hello.

    Raises:
        StackError: it does not start.
    """
    port = free_port()
    command = (
        sys.executable, "-m", "uvicorn", "music_assets.bench.hello:app", "--port", str(port), "--loop", "uvloop",
        "--http", "httptools", "--no-access-log", "--no-server-header", "--log-level", "warning",
    )  # fmt: skip
    part = Part(
        name="hello", command=command, ready=lambda: port_is_open(port), port=port, setting="none",
        address=f"http://127.0.0.1:{port}",
    )  # fmt: skip
    with running(part, arena.home) as process:
        yield Place(port=port, pid=process.pid)


class _Sink(BaseHTTPRequestHandler):
    """Takes traces and forgets them."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def _collector() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    threading.Thread(target=server.serve_forever, name="traces", daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _meet(api: Place, users: list[str]) -> None:
    """Let the API load its model and see every listener once: one that runs for a day knows whom it serves.

    Raises:
        TimeoutExpiredError: it does not recommend.
    """
    one = [request(f"/recommend?user_id={users[0]}")]
    if not wait_until(lambda: not asyncio.run(closed(api.port, one, count=1, connections=1)).failed, seconds=_PATIENCE):
        raise TimeoutExpiredError(f"the API recommended nothing within {_PATIENCE:g} s")
    parts = (users[start : start + _BATCH] for start in range(0, len(users), _BATCH))
    requests = [
        request("/events", serve_world.encoded([serve_world.event(-1 - n, user) for n, user in enumerate(part)]))
        for part in parts
    ]
    asyncio.run(closed(api.port, requests, count=len(requests), connections=CONNECTIONS))


def strangers(users: list[str], *, after: int) -> Iterator[bytes]:
    """Return questions that no kept answer serves, without end: everyone beyond the first so many, then with another k.

    Args:
        users: whom to recommend to.
        after: how many of the first are left to others.
    """
    for turn in cycle(range(_DIFFERENT_KS)):
        for user in users[after:]:
            yield request(f"/recommend?user_id={user}&k={_FEWEST + turn}")


def in_time(name: str, took: Spread | None, rate: float) -> Requirement:
    """Return what is required of answers at a steady rate, in milliseconds."""
    return Requirement(
        name=name, value=took.p99 if took else None, limit=_P99_LIMIT_MS, direction="at most",
        note=f"at {rate:g} requests a second, each from when it was due",
    )  # fmt: skip


def none_failed(failed: int) -> Requirement:
    """Return that no request may fail."""
    return Requirement(name="failed requests", value=float(failed), limit=0, direction="at most")


def times(title: str, what: str, took: Mapping[str, Spread | None]) -> Rows:
    """Return milliseconds by name as a table, without what nothing was measured of."""
    return Rows(
        title=title,
        columns=(what, "count", "p50", "p95", "p99", "most"),
        rows=[
            (name, each.count, number(each.p50), number(each.p95), number(each.p99), number(each.max))
            for name, each in took.items() if each
        ],
    )  # fmt: skip
