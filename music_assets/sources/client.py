"""Posts events to the API, and puts a catalogue or foreign messages on the topics.

Requests are repeated until the API answers: every event has an identity, so a batch that arrived although
its answer was lost is a duplicate and no second row. Only then may more be received than was sent.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import httpx
import msgspec
from pydantic import SecretStr

from music_assets.sources.feed import ClientEvent, ForeignMessage
from streaming.errors import TimeoutExpiredError, UnavailableError
from streaming.producer import EventProducer

BATCH: Final = 500
CONNECTIONS: Final = 4
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 3.0
_ANSWERS: Final = frozenset({httpx.codes.ACCEPTED, httpx.codes.UNPROCESSABLE_ENTITY})
_LOCAL_QUEUE: Final = 50_000

Results = list[dict[str, Any]]
"""The API's verdicts on the events of one request, in their order, as JSON."""


@dataclass
class Verdicts:
    """What the API said about the events of a run.

    Attributes:
        accepted: acknowledged by the broker.
        spooled: kept by the API because the broker was away.
        rejected: refused, by the field at fault.
        duplicates: accepted or spooled, but seen before: a hint of the API, not a count of rows.
        doubtful: events in requests whose answer was lost, so that they may be on a topic twice.
        repeated: requests sent again, for whatever reason.
    """

    accepted: int = 0
    spooled: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    doubtful: int = 0
    repeated: int = 0

    def __str__(self) -> str:
        text = f"{self.accepted:,} accepted, {self.spooled:,} spooled, {self.rejected.total():,} rejected"
        return f"{text}, {self.repeated:,} requests repeated" if self.repeated else text

    @property
    def posted(self) -> int:
        """Events the API gave a verdict on."""
        return self.accepted + self.spooled + self.rejected.total()

    def add(self, other: Verdicts) -> None:
        """Count another part of the run in."""
        self.accepted += other.accepted
        self.spooled += other.spooled
        self.rejected += other.rejected
        self.duplicates += other.duplicates
        self.doubtful += other.doubtful
        self.repeated += other.repeated


class EventClient:
    """Posts events over a few connections.

    Args:
        url: where the API answers.
        batch: events a request, at most 1000.
        connections: requests under way at once.
        patience_seconds: how long one batch is tried before the run gives up.
        stop: set by another thread, ends the tries at once.
        on_results: told each request's events with the verdicts on them, from the thread that posted it.
        key: of the API, if it asks for one.
    """

    def __init__(
        self,
        url: str,
        *,
        batch: int = BATCH,
        connections: int = CONNECTIONS,
        patience_seconds: float = 180,
        stop: threading.Event | None = None,
        on_results: Callable[[Sequence[ClientEvent], Results], None] | None = None,
        key: SecretStr | None = None,
    ) -> None:
        self._batch = batch
        self._connections = connections
        self._patience = patience_seconds
        self._stop = stop or threading.Event()
        self._on_results = on_results
        self._http = httpx.Client(
            base_url=url, timeout=httpx.Timeout(30, connect=5), limits=httpx.Limits(max_connections=connections),
            headers={"authorization": f"Bearer {key.get_secret_value()}"} if key else {},
        )  # fmt: skip

    def __enter__(self) -> EventClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def post(self, events: Iterable[ClientEvent], progress: Callable[[Verdicts], None] | None = None) -> Verdicts:
        """Post all events and return the verdicts.

        Args:
            events: read as they are sent, never all at once.
            progress: told the verdicts so far after every few requests.

        Raises:
            TimeoutExpiredError: a batch found no answer within the patience.
            UnavailableError: the API gave an answer that is none.
        """
        verdicts, pending, batches = Verdicts(), set[Future[Verdicts]](), _batches(events, self._batch)
        with ThreadPoolExecutor(self._connections, thread_name_prefix="post") as pool:
            for batch in batches:
                pending.add(pool.submit(self._send, batch))
                if len(pending) >= 2 * self._connections:
                    pending = _collect(pending, verdicts, progress)
            while pending:
                pending = _collect(pending, verdicts, progress)
        return verdicts

    def _send(self, batch: list[ClientEvent]) -> Verdicts:
        body, verdicts = msgspec.json.encode(batch), Verdicts()
        deadline, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            problem = self._attempt(body, batch, verdicts)
            if problem is None:
                return verdicts
            if time.monotonic() + pause > deadline:
                raise TimeoutExpiredError(f"the API took no events for {self._patience:.0f} s: {problem}")
            verdicts.repeated += 1
            if self._stop.wait(pause):
                raise UnavailableError("posting was stopped before the API took all events")
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _attempt(self, body: bytes, batch: Sequence[ClientEvent], verdicts: Verdicts) -> str | None:
        """Send once; return what kept the API from answering, None when it gave its verdicts."""
        try:
            answer = self._http.post("/events", content=body, headers={"content-type": "application/json"})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return str(error)  # nothing was sent
        except httpx.TransportError as error:
            verdicts.doubtful += len(batch)
            return f"{type(error).__name__}: {error}"
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            verdicts.doubtful += len(batch)
            return f"HTTP {answer.status_code}"
        if answer.status_code not in _ANSWERS:
            raise UnavailableError(f"the API answered HTTP {answer.status_code}: {answer.text[:200]}")
        results: Results = msgspec.json.decode(answer.content)["results"]
        if len(results) != len(batch):
            raise UnavailableError(f"the API gave {len(results)} verdicts on {len(batch)} events")
        _count(results, verdicts)
        if self._on_results is not None:
            self._on_results(batch, results)
        return None


def _batches(events: Iterable[ClientEvent], size: int) -> Iterator[list[ClientEvent]]:
    source = iter(events)
    while batch := list(islice(source, size)):
        yield batch


def _collect(
    pending: set[Future[Verdicts]], verdicts: Verdicts, progress: Callable[[Verdicts], None] | None
) -> set[Future[Verdicts]]:
    done, left = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        verdicts.add(future.result())
    if progress is not None:
        progress(verdicts)
    return left


def _count(results: Results, verdicts: Verdicts) -> None:
    for result in results:
        if result["verdict"] == "rejected":
            verdicts.rejected[str(result.get("field"))] += 1
            continue
        verdicts.duplicates += bool(result.get("duplicate"))
        if result["verdict"] == "spooled":
            verdicts.spooled += 1
        else:
            verdicts.accepted += 1


def send_messages(
    producer: EventProducer, messages: Iterable[ForeignMessage], *, patience_seconds: float = 180
) -> tuple[int, int]:
    """Put messages on their topics and wait for the broker; return (messages sent, messages sent twice).

    A message whose acknowledgement did not come is sent again, so it may be on the topic twice.

    Raises:
        TimeoutExpiredError: the broker did not take all of them within the patience; counts the others by topic.
    """
    deadline = time.monotonic() + patience_seconds
    waiting, sent, again = list(messages), 0, 0
    total = len(waiting)
    while waiting:
        failed = _round(producer, waiting, deadline)
        sent += len(waiting) - len(failed)
        if failed and time.monotonic() > deadline:
            raise TimeoutExpiredError(
                f"the Kafka broker took {sent} of {total} messages in {patience_seconds:.0f} s; "
                f"not acknowledged: {_by_topic(Counter(message.topic for message in failed))}"
            )
        again += len(failed)
        waiting = failed
    return total, again


def _round(producer: EventProducer, messages: list[ForeignMessage], deadline: float) -> list[ForeignMessage]:
    """Send every message once, in order; return those that the broker did not acknowledge."""
    failed: list[ForeignMessage] = []
    waiting = Counter(message.topic for message in messages)
    room = threading.Semaphore(_LOCAL_QUEUE)

    def done(message: ForeignMessage, error: str | None) -> None:
        if error is not None:
            failed.append(message)
        waiting[message.topic] -= 1
        room.release()

    def report(message: ForeignMessage) -> Callable[[str | None], None]:
        return lambda error: done(message, error)

    for message in messages:
        room.acquire()
        producer.send(message.topic, key=message.key, value=message.value, on_done=report(message))
    left = producer.flush(max(1.0, deadline - time.monotonic()))
    if left:
        raise TimeoutExpiredError(f"the Kafka broker gave no answer in time; not acknowledged: {_by_topic(+waiting)}")
    return failed


def _by_topic(counts: Counter[str]) -> str:
    return ", ".join(f"{count} of {topic}" for topic, count in sorted(counts.items()))
