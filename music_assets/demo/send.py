"""Sends a feed as soon as the broker and the API answer, while Spark still warms."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import httpx

from music_assets.demo import snapshot
from music_assets.demo.progress import Progress
from music_assets.demo.snapshot import Snapshot
from music_assets.settings import Settings
from music_assets.sources.client import EventClient, Verdicts, send_messages
from music_assets.sources.feed import ClientEvent, Feed, Truth, catalogue_messages
from streaming.control import StreamClient
from streaming.errors import TimeoutExpiredError, UnavailableError
from streaming.lake import Lake
from streaming.producer import EventProducer
from streaming.topics import admin, topics

START_SECONDS: Final = 180.0
_DRAIN_SECONDS: Final = 180.0
_PAUSE: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What was sent.

    Attributes:
        before: the lake before the first message.
        truth: what must have become of it, in a lake that was like that.
        verdicts: what the API said.
        undisturbed: no answer or acknowledgement was lost on the way.
        ended: when the last event was on its topic.
    """

    before: Snapshot
    truth: Truth
    verdicts: Verdicts
    undisturbed: bool
    ended: datetime


class Sender:
    """Sends one feed.

    Args:
        feed: what to send.
        settings: where to.
        progress: told about the stages.
        stop: set to give up.
    """

    def __init__(self, feed: Feed, settings: Settings, progress: Progress, stop: threading.Event) -> None:
        self._feed = feed
        self._settings = settings
        self._progress = progress
        self._stop = stop

    def send(self) -> Sent:
        """Wait for broker and API, look at the lake, send everything and wait until none of it is spooled.

        Raises:
            TimeoutExpiredError: a part did not answer in time.
        """
        self._wait("the Kafka broker", self._topics_are_there)
        before, truth = self._start()
        with self._progress.stage("catalogue") as entry, self._producer() as producer:
            entry.rows, again = send_messages(producer, catalogue_messages(self._feed.catalogue))
        self._wait("the API", self._api_answers)
        twice = self._foreign()
        verdicts = self._post()
        self._wait("the API's spool", self._spool_is_empty, seconds=_DRAIN_SECONDS)
        undisturbed = not (verdicts.doubtful or verdicts.spooled or again or twice)
        return Sent(before=before, truth=truth, verdicts=verdicts, undisturbed=undisturbed, ended=datetime.now(UTC))

    def _start(self) -> tuple[Snapshot, Truth]:
        """Count the lake once all that an earlier run left on the broker is in it."""
        lake = Lake(self._settings.storage)
        if snapshot.backlog(lake, admin.describe(self._settings.bootstrap_servers)):
            streams = StreamClient(self._settings.stream_port)
            self._progress.say("events of an earlier run wait on the broker: they are stored first")
            self._wait("the stream service", streams.alive)
            streams.run("stream_kafka_to_silver")
        truth = self._feed.truth
        if self._feed.fixed:
            truth = truth.given(snapshot.of_source(lake, self._feed.name))
        return snapshot.take(lake), truth

    def _foreign(self) -> int:
        """Send the foreign messages, if there are any; return how many were sent twice."""
        if not self._feed.foreign:
            return 0
        with self._progress.stage("foreign") as entry, self._producer() as producer:
            entry.rows, twice = send_messages(producer, self._feed.foreign)
            entry.note = "put straight on the topics, most of them broken"
        return twice

    def _post(self) -> Verdicts:
        with (
            self._progress.stage("post events") as entry,
            EventClient(self._settings.api_url, stop=self._stop, key=self._settings.api_key) as client,
        ):
            verdicts = client.post(self._unless_stopped())
            entry.rows = verdicts.posted
            entry.note = str(verdicts)
        return verdicts

    def _unless_stopped(self) -> Iterator[ClientEvent]:
        for event in self._feed.events():
            if self._stop.is_set():
                raise UnavailableError("the demo was stopped while it sent events")
            yield event

    def _producer(self) -> closing[EventProducer]:
        return closing(EventProducer(self._settings.bootstrap_servers, client_id="music-demo"))

    def _wait(self, part: str, ready: Callable[[], bool], *, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if self._stop.wait(_PAUSE):
                raise UnavailableError(f"the demo was stopped while it waited for {part}")
            if time.monotonic() > deadline:
                raise TimeoutExpiredError(
                    f"{part} was not ready within {seconds:.0f} s; see the logs of `music status`"
                )

    def _topics_are_there(self) -> bool:
        try:
            return topics().keys() <= admin.describe(self._settings.bootstrap_servers).keys()
        except UnavailableError:
            return False

    def _api_answers(self) -> bool:
        try:
            return httpx.get(f"{self._settings.api_url}/health/ready", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def _spool_is_empty(self) -> bool:
        try:
            health = httpx.get(f"{self._settings.api_url}/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return False
        return bool(health["spool"]["events"] == 0)
