"""Every byte string has one outcome, and what is valid is what the models say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from streaming.columns import mark_of
from streaming.events import EventType, check_time, derive_event_id, normalise_item_id
from streaming.parse import MAX_BYTES, Reason, Rejection, parse
from streaming.tables import tables
from streaming.topics import EXAMPLES, topics

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FILES = sorted(EXAMPLES.glob("*/v*/*.json"))
MINIMAL = {"user_id": "u", "event_type": "view", "item_id": "track:1", "timestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_examples(path: Any) -> None:
    verdict, _, rest = path.stem.partition("-")
    outcome = parse(path.parent.parent.name, path.read_bytes(), now=NOW)
    if verdict == "good":
        assert isinstance(outcome, dict), outcome
        return
    assert isinstance(outcome, Rejection)
    assert outcome.reason == rest.partition("-")[0], outcome


def test_every_topic_and_version_has_good_and_bad_examples_and_every_reason_one() -> None:
    for topic in topics().values():
        for version in topic.versions:
            names = {path.stem.partition("-")[0] for path in (EXAMPLES / topic.name / f"v{version}").iterdir()}
            assert names == {"good", "bad"}, topic.name
    reasons = {path.stem.split("-")[1] for path in FILES if path.stem.startswith("bad-")}
    # A message that is too large is no example to keep; the other needs what was stored before.
    assert reasons == set(Reason) - {Reason.TOO_LARGE, Reason.EVENT_ID_OF_ANOTHER_LISTENER}


def test_names_agree() -> None:
    for topic in topics().values():
        assert topic.dead_letter == f"deadletter/{topic.name}"
        assert {topic.dead_letter, f"bronze/{topic.table}", f"silver/{topic.table}"} <= tables().keys()
        assert topic.table == {"music_recommendations": "recommendation_events"}.get(topic.name, topic.name)


def test_a_row_is_complete() -> None:
    message = {**MINIMAL, "item_id": "1", "timestamp": "2026-01-01T01:00:00+01:00"}
    row = parse("events_views", json.dumps(message).encode(), now=NOW)
    assert isinstance(row, dict)
    assert row["item_id"] == "track:1"
    assert row["timestamp"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert row["timestamp"].utcoffset() == timedelta(0)
    assert row["event_id"] == derive_event_id("u", "view", "track:1", datetime(2026, 1, 1, tzinfo=UTC))
    assert list(row) == list(topics()["events_views"].model.model_fields)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.EMPTY_MESSAGE),
        (b" " * (MAX_BYTES + 1), Reason.TOO_LARGE),
        (b"[" * 100_000, Reason.MALFORMED_JSON),
        (json.dumps(MINIMAL).encode()[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", Reason.MALFORMED_JSON),
        (json.dumps(MINIMAL).encode()[:-1] + b',"x":"\xff"}', Reason.NOT_UTF8),
        (json.dumps(MINIMAL).encode()[:-1] + b',"user_id":"\\ud800"}', Reason.MALFORMED_JSON),
        (json.dumps(MINIMAL).encode()[:-1] + b',"rating":1e999}', Reason.OUT_OF_RANGE),
        (json.dumps(MINIMAL).encode()[:-1] + b',"rating":Infinity}', Reason.MALFORMED_JSON),
        (b"\xef\xbb\xbf" + json.dumps(MINIMAL).encode(), Reason.MALFORMED_JSON),
        (b"null", Reason.NOT_AN_OBJECT),
    ],
)
def test_hostile_messages(value: bytes | None, reason: Reason) -> None:
    outcome = parse("events_views", value, now=NOW)
    assert isinstance(outcome, Rejection)
    assert outcome.reason is reason


def test_a_rejection_quotes_no_value() -> None:
    for value in (
        {**MINIMAL, "user_id": "SECRET\n"},
        {**MINIMAL, "item_id": "x:SECRET"},
        {**MINIMAL, "event_type": "SECRET"},
    ):
        outcome = parse("events_views", json.dumps(value).encode(), now=NOW)
        assert isinstance(outcome, Rejection)
        assert "SECRET" not in outcome.detail


@given(st.sampled_from(sorted(topics())), st.binary(max_size=300))
def test_every_byte_string_has_one_outcome(topic: str, value: bytes) -> None:
    assert isinstance(parse(topic, value, now=NOW), (Rejection, dict))


WEIRD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["a\n", "\x7f", "", "x" * 128, "x" * 129, "é" * 128,
                     "2026-01-01", [], {}, ["a"], 5, 5.0001, -0.0, 2**53]),
)  # fmt: skip
TIMES = st.integers(-(10**8), 2 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat())
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.text(min_size=1, max_size=140),
    "user_id": st.text(min_size=1, max_size=140),
    "event_type": st.sampled_from(EventType),
    "item_id": st.text(max_size=8) | st.sampled_from(["track:1", "artist:x", "album:", "track: ", "a:b", ":"]),
    "timestamp": TIMES,
    "rating": st.floats(-1, 6),
    "ms_played": st.integers(-1, 86_400_001),
    "source": st.text(max_size=4),
    "context": st.text(max_size=4),
    "recommendation_id": st.text(max_size=4),
    "schema_version": st.sampled_from([1, 1, 1, 0, 2, 2**31]),
}


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly valid events, with fields left out, or of any other kind."""
    message = {name: draw(value) for name, value in GOOD.items() if name in MINIMAL or draw(st.booleans())}
    for name in draw(st.lists(st.sampled_from(sorted(GOOD)), max_size=1)):
        message[name] = draw(WEIRD)
    for name in draw(st.lists(st.sampled_from(sorted(GOOD)), max_size=1)):
        message.pop(name, None)
    return message


@settings(max_examples=600, deadline=None)
@given(messages())
def test_the_verdict_is_that_of_the_model(message: dict[str, Any]) -> None:
    value = json.dumps(message).encode()
    for name in ("events_views", "events_ratings"):
        topic = topics()[name]
        assert isinstance(parse(name, value, now=NOW), dict) == _model_takes(topic, value), message


def _model_takes(topic: Any, value: bytes) -> bool:
    try:
        # Strict: a number in quotes is a wrong type on a topic.
        event = topic.model.model_validate_json(value, strict=True)
        check_time(event.timestamp, NOW)
        normalise_item_id(event.item_id)
    except (ValidationError, ValueError):
        return False
    return event.event_type is topic.event_type and event.schema_version in topic.versions


def test_hashes_survive_the_lake() -> None:
    row = parse("events_views", json.dumps({**MINIMAL, "rating": 4}).encode(), now=NOW)
    assert isinstance(row, dict)
    stored = {**row, "event_type": "view", "timestamp": row["timestamp"].astimezone(UTC), "source": None}
    assert mark_of("events_views", row) == mark_of("events_views", stored)
    assert mark_of("events_views", row) != mark_of("events_views", {**row, "rating": 3.0})
    assert msgspec.msgpack.encode(row["rating"]) == msgspec.msgpack.encode(4.0)
