"""What a row is, what a rejection says, and the examples. What else there is to be refused: `hostile/`."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from streaming.columns import mark_of
from streaming.events import EVENT_NAMESPACE, derive_event_id
from streaming.parse import Reason, Rejection, parse
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


@pytest.mark.parametrize("user_id", ["u", "é😀", "x" * 128])
def test_a_derived_id_is_the_uuid_of_its_four_fields(user_id: str) -> None:
    for number in range(64):  # every value of the four bits that the variant takes
        moment = datetime(2026, 1, 1, 1, microsecond=number, tzinfo=timezone(timedelta(hours=1)))
        name = f"{user_id}\x1fview\x1ftrack:1\x1f2026-01-01T00:00:00.{number:06d}+00:00"
        assert derive_event_id(user_id, "view", "1", moment) == str(uuid.uuid5(EVENT_NAMESPACE, name))


def test_a_rejection_quotes_no_value() -> None:
    for value in (
        {**MINIMAL, "user_id": "SECRET\n"},
        {**MINIMAL, "item_id": "x:SECRET"},
        {**MINIMAL, "event_type": "SECRET"},
    ):
        outcome = parse("events_views", json.dumps(value).encode(), now=NOW)
        assert isinstance(outcome, Rejection)
        assert "SECRET" not in outcome.detail


def test_hashes_survive_the_lake() -> None:
    row = parse("events_views", json.dumps({**MINIMAL, "rating": 4}).encode(), now=NOW)
    assert isinstance(row, dict)
    stored = {**row, "event_type": "view", "timestamp": row["timestamp"].astimezone(UTC), "source": None}
    assert mark_of("events_views", row) == mark_of("events_views", stored)
    assert mark_of("events_views", row) != mark_of("events_views", {**row, "rating": 3.0})
    assert msgspec.msgpack.encode(row["rating"]) == msgspec.msgpack.encode(4.0)
