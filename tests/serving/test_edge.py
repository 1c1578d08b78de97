"""Properties of the edge: whatever comes in, each event has one verdict, and what is accepted can be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.events.edge import Refusal, _examine, read, read_body
from serving.events.schemas import IngestAnswer
from serving.events.service import ANSWER, RESULT
from serving.wire import encode
from streaming.events import EventType
from streaming.outgoing import address
from streaming.parse import parse
from tests.serving.conftest import SEED, running

if TYPE_CHECKING:
    from tests.conftest import MakeSettings

TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["x" * 128, "x" * 199, "artist:a", "a:b", " "]
)
TIME = st.datetimes(timezones=st.timezones() | st.just(UTC)).map(datetime.isoformat)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
EVENT = st.fixed_dictionaries(
    {"user_id": TEXT, "event_type": st.sampled_from([*EventType]), "item_id": TEXT, "timestamp": TIME},
    optional={
        "rating": st.floats(-1, 6) | st.integers(-1, 6), "ms_played": st.integers(-5, 10**8), "source": TEXT,
        "context": TEXT, "event_id": TEXT, "schema_version": st.integers(0, 2),
    },
)  # fmt: skip
FIELD = st.sampled_from(["user_id", "event_type", "item_id", "timestamp", "rating", "ms_played", "event_id"])
BROKEN = st.builds(lambda event, field, value: {**event, field: value}, EVENT, FIELD | TEXT, JSON)


@settings(max_examples=300, deadline=None)
@given(EVENT)
def test_what_the_api_accepts_the_stream_can_read(event: dict[str, object]) -> None:
    now = datetime.now(UTC)
    found = read(json.dumps(event).encode(), now)
    if isinstance(found, Refusal):
        assert found.error
        return
    message = address(found, str(uuid4()))
    row = parse(message.topic, message.value, now=now)
    assert isinstance(row, dict), row
    assert row["event_id"] == message.event_id


def test_no_body_ever_breaks_the_api(
    make_settings: MakeSettings, broker: str, database_url: str, redis_url: str
) -> None:
    chosen = make_settings(kafka_bootstrap_servers=broker, database_url=database_url, redis_url=redis_url)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running(chosen)) as api:

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(EVENT | BROKEN | JSON, max_size=4) | EVENT | BROKEN | JSON | st.binary(max_size=64))
        def check(body: object) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = portal.call(partial(api.client.post, "/events", content=content))
            assert answer.status_code in {202, 422}, answer.text
            if answer.headers["content-type"] == "application/problem+json":
                return
            size = len(body) if isinstance(body, list) else 1
            found = answer.json()
            assert [result["index"] for result in found["results"]] == list(range(size))
            assert found["accepted"] + found["spooled"] + found["rejected"] == size
            assert (answer.status_code == 202) == (found["rejected"] < size)

        check()


@settings(max_examples=300, deadline=None)
@given(EVENT | BROKEN)
def test_the_quick_reader_takes_what_the_careful_one_takes(event: dict[str, object]) -> None:
    now, text = datetime.now(UTC), json.dumps(event, ensure_ascii=False).encode()
    assert read(text, now) == _examine(text, now)


@pytest.mark.parametrize(
    "changed",
    [
        '"timestamp": "2025-06-01T10:00:00.9999999Z"',
        '"timestamp": "2025-06-01T10:00Z"',
        '"user_id": "a\\u0000b"',
        '"user_id": "a\x7fb"',
        '"event_type": "rating", "rating": null',
        '"rating": 3',
        '"item_id": "a", "item_id": "artist:b"',
        '"event_type": "view", "event_type": "click"',
        '"unknown": 1',
        '"context": ""',
        '"ms_played": 1.0',
        '"schema_version": 2',
    ],
)
def test_where_the_readers_could_part_the_careful_one_decides(changed: str) -> None:
    now = datetime.now(UTC)
    text = (json.dumps(SEED)[:-1] + f", {changed}}}").encode()
    assert read(text, now) == _examine(text, now)
    assert read_body(b"[" + text + b"]", now) == [_examine(text, now)]


def test_an_answer_is_written_as_it_is_documented() -> None:
    result = RESULT(index=0, verdict="accepted", event_id="e", duplicate=False)
    answer = ANSWER(accepted=1, spooled=0, rejected=0, results=[result])
    assert IngestAnswer.model_validate_json(encode(answer)).model_dump(exclude_none=True) == json.loads(encode(answer))
