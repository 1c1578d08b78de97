"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT names a collector; nothing of it is loaded elsewhere.

A span per request goes on in the message's `traceparent` header (W3C Trace Context), and with it in the log of the
stream's batch. A span says the route's template, method and status: never a path, a query or an address, which name
people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from opentelemetry import propagate, trace

if TYPE_CHECKING:
    from fastapi import FastAPI

    from serving.settings import Settings

SERVICE: Final = "music-api"
_KEPT: Final = frozenset({"http.method", "http.request.method", "http.route", "http.status_code",
                          "http.response.status_code", "http.scheme", "url.scheme", "error.type"})  # fmt: skip


def install(app: FastAPI, settings: Settings) -> None:
    """Trace each request of an application, if a collector is named."""
    if not settings.otel_exporter_otlp_endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    url = settings.otel_exporter_otlp_endpoint.rstrip("/")
    instrument(app, BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))


def instrument(app: FastAPI, processor: Any) -> None:
    """Trace each request of an application and hand its spans to a processor."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: SERVICE}))
    provider.add_span_processor(_without_persons(processor))
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=provider,
        excluded_urls="health/live,health/ready,metrics",
        exclude_spans=["send", "receive"],
    )


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


def _without_persons(processor: Any) -> Any:
    """Wrap a processor so that a span leaves with what says nothing of a person."""
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

    class Scrubbed(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            kept = {name: value for name, value in (span.attributes or {}).items() if name in _KEPT}
            route = kept.get("http.route")
            processor.on_end(
                ReadableSpan(
                    name=f"{kept.get('http.method') or kept.get('http.request.method')} {route or 'other'}",
                    context=span.get_span_context(), parent=span.parent, resource=span.resource, attributes=kept,
                    kind=span.kind, status=span.status, start_time=span.start_time, end_time=span.end_time,
                    instrumentation_scope=span.instrumentation_scope,
                )
            )  # fmt: skip

        def shutdown(self) -> None:
            processor.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return bool(processor.force_flush(timeout_millis))

    return Scrubbed()
