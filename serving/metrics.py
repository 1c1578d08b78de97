"""Counters and times for Prometheus, and the middleware that takes them, and the spans with them."""

from __future__ import annotations

import math
import time
from collections import Counter as Counts
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from serving.dependency import Dependency
    from serving.tracing import Trace

M = TypeVar("M", Counter, Histogram)

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SHARES: Final = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
CacheName = Literal["listeners_memory", "listeners_redis", "histories", "answers"]
CacheResult = Literal["hit", "miss", "error"]
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def _by_labels(metric: M) -> Callable[..., M]:
    return lru_cache(maxsize=None)(metric.labels)


class Metrics:
    """The API's metrics, in a registry of their own so that two applications in one process do not meet."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        # Labels are few, and looking their values up costs more than counting.
        self._requests = _by_labels(
            Counter("http_requests", "Requests answered.", ["method", "endpoint", "status"], registry=registry)
        )
        seconds = Histogram(
            "http_request_duration_seconds", "Time to an answer's last byte, a stream's first.", ["method", "endpoint"],
            buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self._seconds = _by_labels(seconds)
        self._ingest = _by_labels(
            Counter("ingest_events", "Events by verdict.", ["topic", "verdict"], registry=registry)
        )
        self._spooled = Gauge("ingest_spool_events", "Events that wait on disk.", registry=registry)
        self._served = _by_labels(
            Counter("recommend_served", "Answers by rung of the ladder.", ["rung"], registry=registry)
        )
        self._lost = Counter("recommend_events_lost", "Exposures that could be kept nowhere.", registry=registry)
        self._overlap = Histogram(
            "recommend_shadow_overlap", "Share of a challenger's answer that was shown anyway.", ["version"],
            buckets=_SHARES, registry=registry,
        )  # fmt: skip
        self._shadow = Histogram(
            "recommend_shadow_seconds", "Time of a challenger's answer that is not shown.", ["version"],
            buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self._model = Gauge("model_info", "The bundle that serves: always 1.", ["version"], registry=registry)

        self._model_age = Gauge("model_bundle_age_seconds", "Age of the bundle that serves.", registry=registry)
        self._model_age.set(math.nan)
        asked = Counter(
            "cache_requests", "Values asked of a cache: the listeners in memory and in Redis, the histories in Redis.",
            ["cache", "result"], registry=registry,
        )  # fmt: skip
        self._cache = _by_labels(asked)
        self._dependency = Gauge(
            "dependency_up", "Whether a part behind the API answers: 1 or 0.", ["dependency"], registry=registry
        )

    def request(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count an answer and its time."""
        self._requests(method, endpoint, status).inc()
        self._seconds(method, endpoint).observe(seconds)

    def cache(self, cache: CacheName, result: CacheResult, count: int = 1) -> None:
        """Count values that a cache had, had not, or could not be asked for."""
        if count:
            self._cache(cache, result).inc(count)

    def ingest(self, outcomes: Iterable[tuple[str, str]]) -> Counts[str]:
        """Count events by topic, `none` where there is none, and verdict; return how many there are of each verdict."""
        verdicts = Counts[str]()
        for (topic, verdict), count in Counts(outcomes).items():
            self._ingest(topic, verdict).inc(count)
            verdicts[verdict] += count
        return verdicts

    def served(self, rung: str) -> None:
        """Count an answer of the recommender."""
        self._served(rung).inc()

    def shadowed(self, version: str, *, seconds: float, overlap: float) -> None:
        """Count an answer of a challenger that was not shown."""
        self._overlap.labels(version).observe(overlap)
        self._shadow.labels(version).observe(seconds)

    def exposure_lost(self) -> None:
        """Count an exposure that neither the broker nor the spool took."""
        self._lost.inc()

    def model(self, version: str) -> None:
        """Note the bundle that serves from now on."""
        self._model.clear()
        self._model.labels(version).set(1)

    def expose(self, *, spooled: int, model_made_at: datetime | None = None, parts: Iterable[Dependency] = ()) -> bytes:
        """Return all metrics in Prometheus' text format.

        Args:
            spooled: events that wait on disk.
            model_made_at: when the bundle that serves was made; absent: none serves.
            parts: what is behind the API.
        """
        self._spooled.set(spooled)
        if model_made_at is not None:
            self._model_age.set((datetime.now(UTC) - model_made_at).total_seconds())
        for part in parts:
            if part.state != "unknown":
                self._dependency.labels(part.name).set(part.state == "up")
        return generate_latest(self._registry)


class MetricsMiddleware:
    """Counts, times and traces each request under its route's template, so that labels stay few whatever clients ask.

    One layer for all three, because each is a call more for every message of every answer.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, trace: Trace) -> None:
        self._app = app
        self._metrics = metrics
        self._trace = trace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note its status and time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        end: float | None = None

        async def noting_status(message: Message) -> None:
            nonlocal status, end
            if message["type"] == "http.response.start":
                status = message["status"]
                # A stream lasts as long as its reader looks, which says nothing of this process.
                end = time.perf_counter() if _is_stream(message["headers"]) else None
            await send(message)

        span = self._trace.begin(scope)
        begin = time.perf_counter()
        try:
            await self._app(scope, receive, noting_status)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            endpoint = _template(scope)
            self._metrics.request(method, endpoint, status, (end or time.perf_counter()) - begin)
            if span is not None:
                span.end(method, endpoint, status)


def _is_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return value.startswith(b"text/event-stream")
    return False


def _template(scope: Any) -> str:
    route = scope.get("route")
    return str(getattr(route, "path", "other"))
