"""`stream_features_to_online`: what a listener did lately, from the event topics into Redis, within moments.

A plain consumer. Redis holds the features together with the positions they cover, so it alone says where to read on:
after any kill, a flush or a return from an old snapshot the next step is to ask it. Holds it nothing that counts, the
features are built from silver first. What is away is waited for.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import structlog
from redis.exceptions import RedisError

from streaming.control import FEATURES, FEATURES_ASSET, RunReport, TableProgress
from streaming.errors import ConfigurationError, TimeoutExpiredError, UnavailableError
from streaming.jobs.event_consumer import EventConsumer
from streaming.jobs.features_writer import FeatureWriter, begin, event_states
from streaming.online import inventory, positions
from streaming.sinks.online import REBUILD_SECONDS, OnlineStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streaming.settings import Settings
    from streaming.topics.admin import TopicState

_SHORTEST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 5.0
_HUNG_SECONDS: Final = 60.0
"""Longer than any step takes: the broker is given 15 seconds to answer, Redis 10."""

_CURRENT_TIMEOUT_SECONDS: Final = 600.0
_ONCE_PATIENCE_SECONDS: Final = 2.0 * REBUILD_SECONDS

log = structlog.get_logger()


class FeatureStream:
    """The job, as a service or once.

    Args:
        settings: where things are.
        patience: seconds for which a part may be away before that is an error.
    """

    def __init__(self, settings: Settings, *, patience: float = float("inf")) -> None:
        self._servers = settings.bootstrap_servers
        self._store = OnlineStore(settings.redis)
        self._consumer = EventConsumer(self._servers, group=FEATURES)
        self._writer = FeatureWriter(settings, self._store, self._consumer, on_progress=self._progress)
        self._patience = patience
        self._stopping = threading.Event()
        self._turned_at = time.monotonic()
        self._failing_since: float | None = None
        self._pause = _SHORTEST_PAUSE_SECONDS

    @property
    def healthy(self) -> bool:
        """Whether the loop turns: a part that is away is waited for, and that is no fault of this one."""
        return time.monotonic() - self._turned_at < _HUNG_SECONDS and not self._stopping.is_set()

    def stop(self) -> None:
        """Ask the job to end after the batch in progress."""
        self._stopping.set()

    def serve(self) -> None:
        """Take events in until `stop` is called."""
        while not self._stopping.is_set():
            self._turn()

    def catch_up(self) -> RunReport:
        """Take in what is there now.

        Raises:
            UnavailableError: Redis or the broker is away.
            TimeoutExpiredError: it took too long.
        """
        return self._until_current(self._turn)

    def run(self, job: str) -> RunReport:
        """Wait until the service has taken in what is there now.

        Raises:
            ConfigurationError: there is no such job here.
            UnavailableError: the service stops, or Redis or the broker is away.
            TimeoutExpiredError: it took too long.
        """
        if job != FEATURES:
            raise ConfigurationError(f"there is no job {job!r} here; valid: {FEATURES}")
        return self._until_current(lambda: time.sleep(_SHORTEST_PAUSE_SECONDS))

    def close(self) -> None:
        """Say how far it is, and close the connections."""
        self._writer.tell_group()
        self._consumer.close()
        self._store.close()

    def _until_current(self, step: Callable[[], object]) -> RunReport:
        started, before = time.monotonic(), self._writer.added
        states = event_states(self._servers)
        try:
            while behind(self._store, states) != 0:
                if not self.healthy:
                    raise UnavailableError(f"{FEATURES} stopped before it was current")
                if time.monotonic() - started > _CURRENT_TIMEOUT_SECONDS:
                    raise TimeoutExpiredError(
                        f"{FEATURES} did not become current within {_CURRENT_TIMEOUT_SECONDS:.0f} s"
                    )
                step()
            held = inventory(self._store.redis).listeners
        except RedisError as error:
            raise UnavailableError(f"Redis does not answer ({error}); is it up?") from error
        done = TableProgress(rows_added=self._writer.added - before, rows_total=held)
        return RunReport(job=FEATURES, seconds=time.monotonic() - started, tables={FEATURES_ASSET: done})

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        try:
            self._writer.step()
        except (RedisError, UnavailableError) as error:
            self._wait(error)
        else:
            if self._failing_since is not None:
                log.info("goes_on", query=FEATURES, after_seconds=round(time.monotonic() - self._failing_since, 1))
            self._failing_since, self._pause = None, _SHORTEST_PAUSE_SECONDS

    def _wait(self, error: Exception) -> None:
        """Where Redis is now in the log is known again when it answers."""
        self._consumer.unplace()
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            log.warning("waits", query=FEATURES, error=str(error))
        if time.monotonic() - self._failing_since > self._patience:
            raise UnavailableError(str(error)) from error
        self._stopping.wait(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def _progress(self) -> None:
        if self._stopping.is_set():
            raise UnavailableError(f"{FEATURES} was asked to stop while it built the features")
        self._turned_at = time.monotonic()


def behind(store: OnlineStore, states: Mapping[str, TopicState]) -> int | None:
    """Return how many messages of those that these topics held are not taken in; None: all, and what was before them.

    Raises:
        RedisError: Redis does not answer.
    """
    if store.epoch() is None:
        return None
    stored = positions(store.redis, [(name, number) for name, state in states.items() for number in state.end_offsets])
    return sum(
        max(states[name].end_offsets[number] - begin(position, states[name], number), 0)
        for (name, number), position in stored.items()
    )


def run_once(settings: Settings) -> RunReport:
    """Bring the features up to now, whether or not the service runs.

    Raises:
        UnavailableError: Redis or the broker is away.
        TimeoutExpiredError: it took too long.
    """
    stream = FeatureStream(settings, patience=_ONCE_PATIENCE_SECONDS)
    try:
        return stream.catch_up()
    finally:
        stream.close()


def waiting(settings: Settings, *, seconds: float) -> int | None:
    """Return how many of the messages that wait now are not in Redis after so many seconds; None: nothing is.

    Raises:
        UnavailableError: Redis or the broker is away.
    """
    deadline = time.monotonic() + seconds
    states = event_states(settings.bootstrap_servers)
    store = OnlineStore(settings.redis)
    try:
        while (left := behind(store, states)) != 0 and time.monotonic() < deadline:
            time.sleep(_SHORTEST_PAUSE_SECONDS)
    except RedisError as error:
        raise UnavailableError(f"Redis does not answer ({error}); is it up?") from error
    finally:
        store.close()
    return left
