"""The reader of columns gives each message the verdict of the parser, whatever the message."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.columns import mark_of, marks_of, read_columns
from streaming.parse import Rejection, parse
from streaming.topics import EXAMPLES, topics
from tests.streaming.hostile.corpus import cases

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EXAMPLE = {topic: sorted((EXAMPLES / topic).glob("v*/*.json")) for topic in topics()}
GOOD = {
    "event_id": "e", "user_id": "u", "event_type": "listen", "item_id": "track:1", "timestamp": "2026-01-01T00:00:00Z",
}  # fmt: skip


def hold_equal(topic: str, values: list[bytes | None]) -> None:
    found = read_columns(
        topic, pa.array(values, pa.binary()), pa.array([b"track:key"] * len(values), pa.binary()), now=NOW
    )
    rows = dict(zip(found.at.tolist(), found.rows.to_pylist(), strict=True))
    rejected = dict(found.rejected)
    assert rows.keys() | rejected.keys() == set(range(len(values)))
    assert not rows.keys() & rejected.keys()
    for index, value in enumerate(values):
        if value is None and topics()[topic].compacted:
            assert rows[index]["deleted"]
            continue
        expected = parse(topic, value, now=NOW)
        if isinstance(expected, Rejection):
            assert rejected[index] == expected
        else:
            assert {name: rows[index][name] for name in expected} == expected
    if found.digests:
        marks = list(zip(found.digests, found.listeners, found.payloads, strict=True))
        assert [mark_of(topic, rows[at]) for at in found.at.tolist()] == marks
        [batch] = found.rows.combine_chunks().to_batches()
        assert list(zip(*marks_of(topic, batch), strict=True)) == marks


@pytest.mark.parametrize("topic", list(topics()))
def test_examples_together_are_read_as_one_by_one(topic: str) -> None:
    hold_equal(topic, [*(file.read_bytes() for file in EXAMPLE[topic]), None, b"", b"\xff", b"[]"])


@pytest.mark.parametrize("topic", list(topics()))
def test_hostile_messages_together_are_read_as_one_by_one(topic: str) -> None:
    hold_equal(topic, [case.value for case in cases() if case.topic == topic])


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "event_id": st.none() | st.text(max_size=5) | st.just("x"),
        "user_id": st.text(max_size=5) | st.integers() | st.just("u\x7f"),
        "event_type": st.sampled_from(["listen", "view", "dance", 3]),
        "item_id": st.sampled_from(["track:1", "1", "album:é", "artist: ", "track:", "song:1", "a:b", "track:\u00a0"]),
        "timestamp": st.sampled_from(
            ["2026-01-01T00:00:00+02:00", "1969-12-31T23:59:59Z", "2026-01-02T00:04:59Z", "2026-01-02T00:06:00Z",
             "2026-01-01", "2026-01-01T00:00:00", "9999-12-31T23:59:59Z", 7]
        ),
        "rating": st.floats() | st.integers(-1, 6),
        "ms_played": st.integers(-5, 10**15) | st.booleans(),
        "context": st.text(max_size=4),
        "schema_version": st.integers(-1, 3),
        "more": st.text(max_size=3),
    },
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FIELDS, max_size=8), st.data())
def test_any_mix_of_messages_is_read_as_one_by_one(changes: list[dict[str, Any]], data: st.DataObject) -> None:
    values: list[bytes | None] = [json.dumps({**GOOD, **each}).encode() for each in changes]
    for value in list(values):
        assert value is not None
        cut = data.draw(st.integers(0, len(value)))
        values.append(value[:cut] + data.draw(st.binary(max_size=2)) + value[cut:])
    hold_equal("events_listens", values)


def test_a_long_run_of_plain_messages_keeps_its_order() -> None:
    values: list[bytes | None] = [
        json.dumps({**GOOD, "event_id": str(number), "timestamp": str(NOW - timedelta(seconds=number))}).encode()
        for number in range(1000)
    ]
    found = read_columns("events_listens", pa.array(values, pa.binary()), pa.nulls(1000, pa.binary()), now=NOW)
    assert found.at.tolist() == list(range(1000))
    assert found.rows.column("event_id").to_pylist() == [str(number) for number in range(1000)]
