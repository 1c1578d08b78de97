"""Random messages, and good ones that were changed at random: one outcome each, from every reader and judge."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.columns import read_columns
from streaming.events import EventType
from streaming.parse import Reader, Rejection, parse
from streaming.topics import EXAMPLES, Topic, topics
from tests.streaming.hostile.case import NOW
from tests.streaming.hostile.oracle import of_message, verdict
from tests.streaming.hostile.test_corpus import assert_stable

THOROUGH = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Values of a field: good ones, nearly good ones, and anything

_LINE = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
_NEARLY_TEXT = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["", " ", "\x7f", "\x00", "a\n", "\u200b", "\u2028", "é" * 128, "x" * 129, "x" * 512, "x" * 513]),
)  # fmt: skip
_ITEM = st.one_of(
    st.builds("{}:{}".format, st.sampled_from(["track", "artist", "album", "label"]), _LINE), _LINE, _NEARLY_TEXT,
    st.sampled_from(["album:", "track: ", ":1", "x" * 194, "x" * 195, "artist:" + "x" * 193, "artist:" + "x" * 194]),
)  # fmt: skip
_SECONDS = st.integers(-(10**8), 2 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
_TWO = st.integers(0, 70).map("{:02d}".format)
_TIME = st.one_of(
    _SECONDS.map(datetime.isoformat),
    st.builds("{}-{}-{}{}{}:{}:{}{}{}".format, st.sampled_from(["1969", "1970", "2024", "2026", "9999", "0000"]),
              _TWO, _TWO, st.sampled_from("Tt _"), _TWO, _TWO, _TWO, st.sampled_from(["", ".5", ".123456", ",5", "."]),
              st.sampled_from(["Z", "z", "+01:00", "-0130", "+14:60", "+24:00", "-23:59", "+01", "", " Z"])),
    st.builds("2026-01-{}T{}:00:00{}{}:{}".format, st.integers(10, 31), st.integers(10, 24), st.sampled_from("+-"),
              _TWO, _TWO),
    st.sampled_from(["1767225600", "", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-01-01T00:00Z"]),
)  # fmt: skip
_WHOLE = st.integers(-1, 86_400_001) | st.integers(-(2**70), 2**70)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "event_id": _LINE | _NEARLY_TEXT,
    "user_id": _LINE | _NEARLY_TEXT,
    "event_type": st.sampled_from([*EventType, "skip", "View", ""]),
    "item_id": _ITEM, "artist_id": _ITEM, "album_id": _ITEM,
    "timestamp": _TIME, "updated_at": _TIME,
    "rating": st.floats(-1, 6) | st.integers(-1, 6) | st.sampled_from([5.0000000000000001, -0.0, 1e308, 5e-324]),
    "ms_played": _WHOLE, "duration_ms": _WHOLE,
    "schema_version": st.sampled_from([1, 1, 1, 1, 0, 2, -1, 2**31, 2**70]),
    "item_ids": st.lists(_ITEM, max_size=4) | st.lists(st.just("1"), min_size=199, max_size=202),
    "sources": st.lists(_LINE | _NEARLY_TEXT, max_size=4),
    "reasons": st.lists(_LINE | _NEARLY_TEXT, max_size=4),
}  # fmt: skip
TEXT = _LINE | _NEARLY_TEXT
TOPICS = st.sampled_from([topics()[name] for name in sorted(topics())])
EXAMPLE = {name: sorted((EXAMPLES / name / "v1").glob("good-*.json")) for name in topics()}


@st.composite
def good(draw: st.DrawFn, among: st.SearchStrategy[Topic] = TOPICS) -> tuple[Topic, dict[str, Any]]:
    """An example of a topic, which every reader takes."""
    topic = draw(among)
    return topic, json.loads(draw(st.sampled_from(EXAMPLE[topic.name])).read_bytes())


@st.composite
def changed(draw: st.DrawFn, among: st.SearchStrategy[Topic] = TOPICS) -> tuple[Topic, dict[str, Any]]:
    """An example with some fields set to what may be good, some to anything, some gone, some that nobody knows."""
    topic, message = draw(good(among))
    fields = st.sampled_from(sorted(topic.model.model_fields))
    for name in draw(st.lists(fields, max_size=5)):
        message[name] = draw(VALUES.get(name, TEXT))
    for name in draw(st.lists(fields, max_size=1)):
        message[name] = draw(_JSON)
    for name in draw(st.lists(fields, max_size=1)):
        message.pop(name, None)
    message.update(draw(st.dictionaries(st.text(max_size=5), _JSON, max_size=1)))
    return topic, message


def written(message: dict[str, Any], *, ascii_only: bool) -> bytes:
    """JSON as encoders write it; numbers that no float holds as 1e999, which is JSON."""
    text = json.dumps(message, ensure_ascii=ascii_only).replace("-Infinity", "-1e999").replace("Infinity", "1e999")
    return text.encode("utf-8", "surrogatepass")


def agree(topic: Topic, value: bytes | None) -> None:
    """One outcome, the same from both readers and the judge; a row is complete and stands reading again."""
    outcome = parse(topic.name, value, now=NOW)
    judged = verdict(topic, value, NOW)
    together = read_columns(topic.name, pa.array([value], pa.binary()), pa.array([b"key"], pa.binary()), now=NOW)
    assert [rejection for _, rejection in together.rejected] == ([outcome] if isinstance(outcome, Rejection) else [])
    assert together.rows.num_rows == (not isinstance(outcome, Rejection))
    if isinstance(outcome, Rejection):
        assert (outcome.reason, outcome.field) == judged, value
        assert outcome.detail
        assert len(outcome.detail) < 300
    else:
        assert judged is None, value
        assert_stable(topic.name, outcome)


@THOROUGH
@given(TOPICS, st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_random_bytes(topic: Topic, value: bytes) -> None:
    agree(topic, value)


@THOROUGH
@given(TOPICS, _JSON, st.booleans())
def test_random_json(topic: Topic, value: Any, ascii_only: bool) -> None:
    agree(topic, written(value, ascii_only=ascii_only))


@settings(THOROUGH, max_examples=800)
@given(changed(), st.booleans())
def test_changed_fields(message: tuple[Topic, dict[str, Any]], ascii_only: bool) -> None:
    topic, fields = message
    agree(topic, written(fields, ascii_only=ascii_only))


_PIECES = st.binary(max_size=4) | st.sampled_from(
    [b'"', b"\\", b"\\u0000", b"\\ud800", b"\x7f", b"\xc0\xaf", b"\xef\xbb\xbf", b"{", b"}", b"[", b"]", b",", b":",
     b"0", b"-", b"1e999", b"NaN", b"null", b'"x":1,', b"\n", b"\x00", b"[" * 70, b'"schema_version":2,',
     b'"user_id":7,']
)  # fmt: skip


@settings(THOROUGH, max_examples=800)
@given(good(), st.data())
def test_changed_bytes(message: tuple[Topic, dict[str, Any]], data: st.DataObject) -> None:
    topic, fields = message
    value = written(fields, ascii_only=data.draw(st.booleans()))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(value)))
        gone = data.draw(st.integers(0, 3) | st.integers(0, len(value)))
        value = value[:at] + data.draw(_PIECES) + value[at + gone :]
    agree(topic, value)


@THOROUGH
@given(good(), st.data())
def test_keys_given_twice(message: tuple[Topic, dict[str, Any]], data: st.DataObject) -> None:
    """The last one holds, whatever the earlier ones are."""
    topic, fields = message
    name = data.draw(st.sampled_from(sorted(topic.model.model_fields)))
    twice = b"{" + json.dumps(name).encode() + b":" + written(data.draw(_JSON), ascii_only=True)
    agree(topic, twice + b"," + written(fields, ascii_only=False)[1:])


@settings(THOROUGH, max_examples=300)
@given(changed(), _SECONDS)
def test_the_clock_decides_only_about_the_future(message: tuple[Topic, dict[str, Any]], now: datetime) -> None:
    topic, fields = message
    outcome = Reader(topic).read(written(fields, ascii_only=True), now)
    judged = of_message(topic, json.loads(json.dumps(fields)), now)
    assert ((outcome.reason, outcome.field) if isinstance(outcome, Rejection) else None) == judged


@pytest.mark.parametrize("topic", topics().values(), ids=lambda topic: topic.name)
def test_the_strategies_reach_rows_and_refusals(topic: Topic) -> None:
    """A fuzzer whose messages are all refused for the same reason tests nothing."""
    met: set[str] = set()

    @settings(max_examples=500, deadline=None, derandomize=True, database=None,
              suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
    @given(changed(st.just(topic)))
    def collect(message: tuple[Topic, dict[str, Any]]) -> None:
        outcome = parse(topic.name, written(message[1], ascii_only=False), now=NOW)
        met.add(outcome.reason if isinstance(outcome, Rejection) else "row")

    collect()
    assert {"row", "missing_field", "wrong_type", "out_of_range", "bad_format", "unknown_schema_version"} <= met
