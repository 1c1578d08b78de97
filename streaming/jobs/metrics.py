"""What the streams say of themselves to Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry()

ROWS: Final = Counter(
    "stream_rows", "Positions by outcome.", ["query", "topic", "outcome"], registry=REGISTRY
)  # exported as stream_rows_total
BATCH_SECONDS: Final = Histogram(
    "stream_batch_duration_seconds",
    "How long a batch took, commits included.",
    ["query"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160),
    registry=REGISTRY,
)
LAST_BATCH: Final = Gauge(
    "stream_last_batch_timestamp_seconds", "When a query last committed.", ["query"], registry=REGISTRY
)
LAG: Final = Gauge(
    "stream_consumer_lag", "Positions not accounted for yet.", ["query", "topic", "partition"], registry=REGISTRY
)
EVENT_DELAY: Final = Histogram(
    "stream_event_delay_seconds",
    "From when an event happened to when its row was committed; a sample of each batch.",
    ["query"],
    buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400),
    registry=REGISTRY,
)
CLAIMS: Final = Gauge("stream_claim_index_keys", "Event ids that the index holds.", ["topic"], registry=REGISTRY)
HALTED: Final = Gauge(
    "stream_halted", "1 while a query stands still until a person resumes it.", ["query"], registry=REGISTRY
)


def batch_done(query: str, seconds: float) -> None:
    """Note that a query has committed a batch."""
    BATCH_SECONDS.labels(query).observe(seconds)
    LAST_BATCH.labels(query).set_to_current_time()
