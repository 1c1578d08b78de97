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
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160),
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
    "From the broker's timestamp of a batch's oldest event to its commit.",
    ["query"],
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
    registry=REGISTRY,
)
