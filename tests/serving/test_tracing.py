"""A trace goes from the request through the message to the stream's batch, and names nobody."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from serving import tracing
from serving.app import create_app
from streaming.jobs import run_once
from tests.serving.conftest import Start, listen
from tests.streaming.conftest import SILVER

if TYPE_CHECKING:
    from tests.conftest import MakeSettings

pytestmark = pytest.mark.anyio


async def test_a_request_can_be_followed_to_its_batch(
    make_settings: MakeSettings, broker: str, database_url: str, redis_url: str
) -> None:
    exporter, user = InMemorySpanExporter(), f"planted-{uuid4().hex}"
    settings = make_settings(
        kafka_bootstrap_servers=broker, database_url=database_url, redis_url=redis_url, stream_engine="python"
    )
    app = create_app(settings)
    app.state.trace.record(SimpleSpanProcessor(exporter))
    trace_id = uuid4().hex
    async with app.router.lifespan_context(app):
        # What earlier tests left on the broker has its own traces: only the new messages' batch is looked at.
        await asyncio.to_thread(run_once, SILVER, settings, None)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            sent = {"traceparent": f"00-{trace_id}-{'1' * 16}-01", "user-agent": user}
            assert (await client.post("/events", json=listen(user_id=user), headers=sent)).status_code == 202
            await client.get(f"/recommendations/{user}?k=3", headers=sent)
        with capture_logs() as lines:
            await asyncio.to_thread(run_once, SILVER, settings, None)
    spans = exporter.get_finished_spans()
    assert {span.name for span in spans} == {"POST /events", "GET /recommendations/{user_id}"}
    assert {f"{span.context.trace_id:032x}" for span in spans} == {trace_id}
    text = "".join(span.to_json() for span in spans)
    assert user not in text
    assert "k=3" not in text
    [batch] = [line for line in lines if line["event"] == "batch_committed" and line.get("trace_ids")]
    assert trace_id in batch["trace_ids"]


async def test_without_a_collector_no_message_carries_a_trace(start: Start) -> None:
    async with start() as api:
        assert (await api.post(listen())).status_code == 202
        assert tracing.headers() == {}


def test_a_line_of_the_log_names_the_trace_of_its_request() -> None:
    from opentelemetry.sdk.trace import TracerProvider

    with TracerProvider().get_tracer("test").start_as_current_span("x") as span:
        line = tracing.add_trace_id(None, "info", {"event": "e"})
        carried = tracing.headers()["traceparent"].decode()
    assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-9a-f]", carried)
    assert "trace_id" not in tracing.add_trace_id(None, "info", {"event": "e"})
