"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT names a collector; nothing of it is loaded elsewhere.

A span per request goes on in the message's `traceparent` header (W3C Trace Context), and with it in the log of the
stream's batch. A span says the route's template, method and status: never a path, a query or an address, which name
people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from opentelemetry import context, propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

if TYPE_CHECKING:
    from contextvars import Token

    from starlette.types import Scope

    from serving.settings import Settings

SERVICE: Final = "music-api"
_UNTRACED: Final = frozenset({"/health/live", "/health/ready", "/metrics"})
_FAULT: Final = 500


class Ended(Protocol):
    """A request under way that is traced."""

    def end(self, method: str, endpoint: str, status: int) -> None:
        """End its span with what says nothing of a person."""


class Trace:
    """Begins a span for each request, if a collector is named.

    Args:
        settings: which, and the share of the traces that begin here; what a caller began is decided by the caller.
    """

    def __init__(self, settings: Settings) -> None:
        self._tracer: trace.Tracer | None = None
        if not settings.otel_exporter_otlp_endpoint:
            return
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        url = settings.otel_exporter_otlp_endpoint.rstrip("/")
        exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
        self.record(BatchSpanProcessor(exporter), share=settings.otel_trace_share)

    def record(self, processor: Any, *, share: float = 1) -> None:
        """Hand the spans from now on to a processor of the SDK."""
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        resource = Resource.create({SERVICE_NAME: SERVICE})
        provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("serving")

    def begin(self, scope: Scope) -> Ended | None:
        """Begin the span of a request and make it the present one; None where nothing is traced."""
        if self._tracer is None or scope["path"] in _UNTRACED:
            return None
        parent = next((value for name, value in scope["headers"] if name == b"traceparent"), None)
        above = None if parent is None else propagate.extract({"traceparent": parent.decode("latin-1")})
        return _Request(self._tracer.start_span("request", above, SpanKind.SERVER), scope["scheme"])


class _Request:
    def __init__(self, span: trace.Span, scheme: str) -> None:
        self._span = span
        self._scheme = scheme
        self._token: Token[Any] = context.attach(trace.set_span_in_context(span))

    def end(self, method: str, endpoint: str, status: int) -> None:
        span = self._span
        if span.is_recording():
            span.update_name(f"{method} {endpoint}")
            span.set_attributes(
                {"http.request.method": method, "http.route": endpoint, "http.response.status_code": status,
                 "url.scheme": self._scheme}
            )  # fmt: skip
            if status >= _FAULT:
                span.set_status(Status(StatusCode.ERROR))
            span.end()
        context.detach(self._token)


def headers() -> dict[str, bytes]:
    """Return the headers that carry the present trace with a message; empty where there is none."""
    if not trace.get_current_span().get_span_context().is_valid:
        return {}
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return {name: value.encode() for name, value in carrier.items() if name == "traceparent"}


def add_trace_id(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put the present trace's id into a line of the log."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event
