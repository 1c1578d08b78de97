"""Dead letters go back to their topics once, whatever is killed, and the ledger balances."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Producer

from music_assets.settings import child_environment
from streaming.errors import ConfigurationError, TimeoutExpiredError
from streaming.jobs.lease import lease
from streaming.repair import record
from streaming.repair import redrive as module
from streaming.repair.letters import Origin, Wanted, origin_of, read_origin, show, summary
from streaming.repair.record import NAME, Record
from streaming.repair.redrive import redrive
from streaming.tables import REDRIVEN, TOMBSTONES
from streaming.topics.peek import peek
from tests.streaming.conftest import BRONZE, Platform, event
from tests.streaming.test_silver import Killed, ids

pytestmark = pytest.mark.spark

EVERYTHING = Wanted()


def test_a_fixed_parser_takes_every_fixable_dead_letter_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put("events_listens", event(2), b"{", b"[", b"{")
    platform.run()
    assert sum(each.count for each in summary(platform.lake, EVERYTHING)) == 3
    assert redrive(platform.settings, EVERYTHING).sent.total() == 3
    monkeypatch.setattr(platform.feed, "stage", fixed)
    platform.run()
    assert ids(platform) == ["event-2", "new"]
    assert [row["status"] for row in show(platform.lake, EVERYTHING, limit=10)].count("redriven") == 3
    assert len(platform.rows("deadletter/events_listens")) == 4, "the one that cannot be read came back"
    assert platform.problems() == []
    assert redrive(platform.settings, EVERYTHING).sent.total() == 1, "only what came back goes again"


def fixed(batches, **options):  # type: ignore[no-untyped-def]
    """A release that reads `{`, and still not `[`."""
    from streaming import columns
    from streaming.staging import stage

    real = columns.parse

    def other(topic, value, *, now):  # type: ignore[no-untyped-def]
        if value == b"{":
            value = (b'{"event_id":"new","user_id":"u","event_type":"listen","item_id":"i",'
                     b'"timestamp":"2026-01-01T00:00:00Z"}')  # fmt: skip
        return real(topic, value, now=now)

    columns.parse = other
    try:
        yield from stage(batches, **options)
    finally:
        columns.parse = real


def test_a_redriven_message_is_the_same_and_says_where_it_was_first(platform: Platform) -> None:
    platform.put("events_views", b"\xff{", key="k\u00e9y", partition=1)
    platform.run()
    first = platform.rows("deadletter/events_views")[0]
    for attempt in (1, 2, 3):
        assert redrive(platform.settings, EVERYTHING).sent.total() == 1
        sent = peek(platform.settings.bootstrap_servers, "events_views", limit=1)[0]
        assert (sent.key(), sent.value()) == (first["key"], first["value"])
        headers: Any = sent.headers()
        assert headers[0] == ("traceparent", b"00")
        assert [name for name, _ in headers] == ["traceparent", "redrive-of", "redrive-attempt"]
        origin = read_origin([{"key": key, "value": value} for key, value in headers])
        assert origin == Origin(first["kafka_topic_id"], 1, first["kafka_offset"], attempt)
        platform.run()
    last = redrive(platform.settings, EVERYTHING)
    assert (last.sent.total(), last.skipped) == (0, {"redriven": 3, "exhausted": 1})
    assert platform.problems() == []


def test_only_what_is_asked_for_is_sent(platform: Platform) -> None:
    platform.put("events_views", b"{", b"", b"[]")
    platform.put("events_clicks", b"{")
    platform.run()
    now = datetime.now(UTC)
    assert redrive(platform.settings, EVERYTHING, dry_run=True).sent.total() == 4
    assert redrive(platform.settings, Wanted(since=now + timedelta(hours=1))).sent.total() == 0
    assert redrive(platform.settings, Wanted(until=now - timedelta(hours=1))).sent.total() == 0
    chosen = redrive(platform.settings, Wanted(topic="events_views", reason="malformed_json"))
    assert chosen.sent == {("events_views", "malformed_json"): 1}
    assert redrive(platform.settings, Wanted(topic="events_views"), limit=1).sent.total() == 1
    assert redrive(platform.settings, EVERYTHING).sent.total() == 2
    with pytest.raises(ConfigurationError, match="valid: catalog_albums"):
        Wanted(topic="events_nothing")
    with pytest.raises(ConfigurationError, match="valid: empty_message"):
        Wanted(reason="bad")
    with pytest.raises(ConfigurationError, match="since needs a zone"):
        Wanted(since=datetime(2026, 1, 1))  # noqa: DTZ001 - what a person types


def test_a_stolen_event_id_is_sent_only_on_purpose(platform: Platform) -> None:
    platform.put("events_listens", event(1, user_id="owner"))
    platform.run()
    platform.put("events_listens", event(1, user_id="thief"))
    platform.run()
    assert redrive(platform.settings, EVERYTHING).skipped == {"claimed": 1}
    assert redrive(platform.settings, Wanted(reason="event_id_of_another_listener")).sent.total() == 1


def test_a_forgotten_listener_is_not_sent_again(platform: Platform) -> None:
    import pyarrow as pa

    from streaming.columns import listener_hash
    from streaming.sinks.tables import Write, append_arrow

    platform.put("events_listens", {**event(1), "user_id": "gone", "timestamp": "never"}, b"{")
    platform.run()
    row = {"listener_hash": listener_hash("gone"), "erasure_id": "e", "erased_at": datetime.now(UTC)}
    rows = pa.Table.from_pylist([row], TOMBSTONES.schema)
    append_arrow(rows, TOMBSTONES, platform.settings.storage, write=Write(expected={}, leaves={}, note={}))
    outcome = redrive(platform.settings, EVERYTHING)
    assert (outcome.sent.total(), outcome.skipped) == (1, {"forgotten": 1})


def test_an_old_catalogue_record_never_replaces_a_newer_one(platform: Platform) -> None:
    platform.put("catalog_songs", b"[]", key="track:a")
    platform.put("catalog_songs", b"[]", key="track:b")
    platform.put("catalog_songs", {"item_id": "track:a", "name": "new"})
    platform.run()
    outcome = redrive(platform.settings, EVERYTHING)
    assert (outcome.sent.total(), outcome.skipped) == (1, {"superseded": 1})
    platform.put("catalog_songs", None, key="track:b")
    platform.run()
    platform.run(BRONZE)
    outcome = redrive(platform.settings, EVERYTHING)
    assert (outcome.sent.total(), outcome.skipped["superseded"]) == (0, 2), "a removal is newer too"


def test_two_redrives_at_once_are_refused(platform: Platform) -> None:
    platform.run()
    with (
        lease(platform.settings, NAME, spark=None, timeout=0),
        pytest.raises(TimeoutExpiredError, match="another process"),
    ):
        redrive(platform.settings, EVERYTHING)


@pytest.mark.parametrize("place", ["before_sending", "before_the_record", "before_the_close"])
def test_a_kill_at_any_place_sends_none_twice_and_loses_none(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    platform.put("events_listens", *(b"{" for _ in range(30)))
    platform.run(halt_dead_letter_share=1)
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    with monkeypatch.context() as patch:
        _kill(patch, place)
        with pytest.raises(Killed):
            redrive(platform.settings, EVERYTHING)
    outcome = redrive(platform.settings, EVERYTHING)
    again = {"before_sending": (30, 0), "before_the_record": (16, 7), "before_the_close": (0, 0)}
    assert (outcome.sent.total(), outcome.recovered) == again[place]
    platform.run(halt_dead_letter_share=1)
    assert_each_was_sent_once(platform, 30)


def test_what_reaches_the_broker_only_after_the_kill_is_found(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put("events_listens", b"{")
    platform.run()
    with monkeypatch.context() as patch:
        _kill(patch, "before_sending")
        with pytest.raises(Killed):
            redrive(platform.settings, EVERYTHING)
    [letter] = platform.rows("deadletter/events_listens")

    def late(_seconds: float) -> None:
        producer = Producer({"bootstrap.servers": platform.settings.bootstrap_servers})
        headers: Any = origin_of(letter).next.headers()
        producer.produce("events_listens", key=letter["key"], value=letter["value"], headers=headers)
        assert producer.flush(10) == 0

    monkeypatch.setattr(record, "time", SimpleNamespace(sleep=late))
    outcome = redrive(platform.settings, EVERYTHING)
    assert (outcome.sent.total(), outcome.recovered) == (0, 1)
    platform.run()
    assert_each_was_sent_once(platform, 1)


def _kill(patch: pytest.MonkeyPatch, place: str) -> None:
    def die(*_: object) -> None:
        raise Killed

    real, lots = Record.note, []

    def note(self: Any, rows: Any) -> None:
        lots.extend([1] if rows else [])
        if len(lots) == 2:
            raise Killed
        real(self, rows)

    target = {"before_sending": (module._Sender, "send"), "before_the_close": (Record, "close")}
    if place == "before_the_record":
        patch.setattr(Record, "note", note)
    else:
        patch.setattr(*target[place], die)


def assert_each_was_sent_once(platform: Platform, count: int) -> None:
    letters = show(platform.lake, EVERYTHING, limit=10 * count)
    assert len(letters) == 2 * count
    copies = [read_origin(row["headers"]) for row in letters if row["attempt"] == 1]
    assert len(set(copies)) == len(copies) == count
    held = platform.rows(REDRIVEN.id)
    new = {(row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"]) for row in letters if row["attempt"]}
    assert {(row["new_topic_id"], row["new_partition"], row["new_offset"]) for row in held} == new
    assert len(held) == count
    assert platform.problems() == []


@pytest.mark.parametrize("after", [0.0, 0.15, 0.4])
def test_kill_9_in_the_middle_and_a_second_run_send_none_twice(platform: Platform, after: float) -> None:
    platform.put("events_listens", *(b"{" for _ in range(4000)))
    platform.run(halt_dead_letter_share=1)
    code = (
        "from streaming.settings import settings;from streaming.repair.redrive import redrive;"
        "from streaming.repair.letters import Wanted;print('go',flush=True);redrive(settings(),Wanted())"
    )
    environment = child_environment(platform.settings)
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"go\n"
    time.sleep(0.1 + after)
    child.send_signal(signal.SIGKILL)
    child.wait()
    outcome = redrive(platform.settings, EVERYTHING)
    assert outcome.sent.total() + outcome.recovered <= 4000
    platform.run(halt_dead_letter_share=1)
    assert_each_was_sent_once(platform, 4000)


def test_a_header_that_is_not_ours_counts_for_nothing(platform: Platform) -> None:
    for value in (b"x", b"a/b/c", b"\xff/1/2", None):
        assert read_origin([{"key": "redrive-of", "value": value}, {"key": "redrive-attempt", "value": b"1"}]) is None
    assert read_origin([{"key": "redrive-of", "value": b"t/1/2"}, {"key": "redrive-attempt", "value": b"x"}]) is None
