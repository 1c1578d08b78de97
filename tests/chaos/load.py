"""A steady load on a world, with every verdict written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, Final, Self

from music_assets.sources.client import EventClient, send_messages
from music_assets.sources.feed import ClientEvent
from streaming.errors import MusicError, UnavailableError
from streaming.producer import EventProducer
from tests.chaos.plan import Plan, Posting, direct
from tests.chaos.truth import Truth
from tests.chaos.world import World

_WORKERS: Final = 3
_PATIENCE_SECONDS: Final = 240.0
_DIRECT_INTERVAL: Final = 0.12
_BATCH: Final = 500


class Load:
    """Posts a plan's requests at its rate, and messages straight to the topics, until the block ends.

    A request is repeated until the API gives its verdicts; what a slow answer delays is made up for afterwards.

    Args:
        world: where to.
        seed: decides what is sent.
        anchor: moment of the first request.
        rate: fresh events a second.

    Attributes:
        truth: what was sent and what was said.
        failures: what ended a thread before its time.
    """

    def __init__(self, world: World, *, seed: int, anchor: datetime, rate: float) -> None:
        self.truth = Truth()
        self.plan = Plan(seed, anchor, rate)
        self._world = world
        self._direct = direct(seed, self.plan.catalogue, anchor)
        self._anchor = anchor
        self._turn = threading.Lock()
        self._requests = 0
        self._ending = threading.Event()
        self._broken = threading.Event()
        # One permit per thread: who holds all of them knows that nothing is under way.
        self._permits = threading.Semaphore(_WORKERS + 1)
        self._threads = [threading.Thread(target=self._guard, args=(self._post,)) for _ in range(_WORKERS)]
        self._threads.append(threading.Thread(target=self._guard, args=(self._send,)))
        self.failures: list[Exception] = []

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._broken.set()
        self._ending.set()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let what is under way end, and begin nothing while the block runs."""
        for _ in range(_WORKERS + 1):
            self._permits.acquire()
        try:
            yield
        finally:
            self._permits.release(_WORKERS + 1)

    def repeat(self, topic: str) -> None:
        """Post every event of a topic again."""
        postings = [Posting(dict(event)) for (name, _), event in list(self.truth.first.items()) if name == topic]
        self.truth.plan(postings)
        for place in range(0, len(postings), _BATCH):
            with self._client() as client:
                client.post_all(postings[place : place + _BATCH])

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (MusicError, OSError) as error:
            self.failures.append(error)

    def _client(self) -> _Client:
        return _Client(self._world.settings.api_url, self.truth, stop=self._broken)

    def _post(self) -> None:
        with self._client() as client:
            while not self._ending.is_set():
                with self._turn:
                    number, self._requests = self._requests, self._requests + 1
                    postings = self.plan.request(self.truth.settled)
                    self.truth.plan(postings)
                due = self._started + number * self.plan.interval
                self._ending.wait(max(0.0, due - time.monotonic()))
                with self._permits:
                    client.post_all(postings)

    def _send(self) -> None:
        servers = self._world.settings.bootstrap_servers
        while not self._ending.wait(_DIRECT_INTERVAL):
            with self._permits, closing(EventProducer(servers, client_id="chaos")) as producer:
                # A producer for a while: one that outlives a re-created topic is a matter of its own.
                for planted in (next(self._direct) for _ in range(20)):
                    _, again = send_messages(producer, [planted.message], patience_seconds=_PATIENCE_SECONDS)
                    self.truth.sent(planted, 1 + again)
                    if self._ending.wait(_DIRECT_INTERVAL):
                        return


class _Client:
    """A connection to the API that writes down what it says."""

    def __init__(self, url: str, truth: Truth, *, stop: threading.Event) -> None:
        self._truth = truth
        self._postings: Sequence[Posting] = ()
        self._http = EventClient(
            url, batch=1000, connections=1, patience_seconds=_PATIENCE_SECONDS, stop=stop, on_results=self._note
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.__exit__()

    def post_all(self, postings: Sequence[Posting]) -> None:
        """Post one request until it has its verdicts."""
        self._postings = postings
        self._truth.count(self._http.post(posting.event for posting in postings))

    def _note(self, events: Sequence[ClientEvent], results: list[dict[str, Any]]) -> None:
        if len(events) != len(self._postings):
            raise UnavailableError(f"{len(events)} of {len(self._postings)} events went out in one request")
        self._truth.answer(self._postings, results)


def replay(world: World, truth: Truth) -> Truth:
    """Send all of a truth once more, in the same order and as fast as it goes; return what was said this time."""
    again = Truth()
    with closing(EventProducer(world.settings.bootstrap_servers, client_id="chaos")) as producer:
        messages = [planted.message for planted, _ in truth.direct]
        send_messages(producer, messages, patience_seconds=_PATIENCE_SECONDS)
    # A contradiction was sent when the event had its place; here it comes last.
    postings = sorted(truth.posted, key=lambda posting: posting.contradicts)
    again.plan(postings)
    with _Client(world.settings.api_url, again, stop=threading.Event()) as client:
        for place in range(0, len(postings), _BATCH):
            client.post_all(postings[place : place + _BATCH])
    return again
