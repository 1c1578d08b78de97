"""Silver takes every position once, whatever is killed, lost or sent again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pytest

from streaming import columns, staging
from streaming.errors import IntegrityError, UnavailableError
from streaming.jobs import intake, recovery
from streaming.ledger import Totals, totals
from streaming.parse import Reason, Rejection
from streaming.sinks import tables as sinks
from streaming.staging import stage
from streaming.tables import LEDGER
from streaming.topics import admin
from tests.streaming.conftest import Platform, event, recreate_topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.jobs.batch import Decision

pytestmark = pytest.mark.spark

LISTENS = "silver/events_listens"


class Killed(Exception):  # noqa: N818 - it stands for a kill, not for an error of ours
    """Stands for kill -9 at one place: nothing after it happens."""


def kill_at(monkeypatch: pytest.MonkeyPatch, name: str, *, when: Callable[..., bool] = lambda *_: True) -> None:
    real = getattr(intake, name)

    def die(*args: object, **options: object) -> object:
        if when(*args):
            raise Killed
        return real(*args, **options)

    monkeypatch.setattr(intake, name, die)


def ids(platform: Platform, table: str = LISTENS) -> list[str]:
    return sorted(row["event_id"] for row in platform.rows(table))


def wipe_checkpoint(platform: Platform) -> None:
    for path in (platform.settings.checkpoint_root / intake.NAME).iterdir():
        if path.name != "claims":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_every_position_has_one_outcome(platform: Platform) -> None:
    platform.put("events_listens", *(event(number) for number in range(20)), event(3), event(4, item_id="track:other"))
    platform.put("events_views", event(3, kind="view"), b"{", b"", None)
    platform.run()
    assert ids(platform) == sorted(f"event-{number}" for number in range(20))
    assert totals(platform.lake)["events_listens"] == Totals(
        received=22, stored=20, duplicate=2, dead_lettered=0, event_id_conflicts=1
    )
    assert totals(platform.lake)["events_views"] == Totals(received=4, stored=1, dead_lettered=3)
    dead = platform.rows("deadletter/events_views")
    assert sorted(row["reason"] for row in dead) == ["empty_message", "empty_message", "malformed_json"]
    assert {row["value"] for row in dead} == {b"{", b"", None}
    assert dead[0]["headers"] == [{"key": "traceparent", "value": b"00"}]
    assert platform.problems() == []

    platform.put("events_listens", event(5), event(100), *(event(6) for _ in range(3)))
    platform.run()
    assert totals(platform.lake)["events_listens"] == Totals(
        received=27, stored=21, duplicate=6, dead_lettered=0, event_id_conflicts=1
    )
    platform.run()
    assert len(platform.rows(LISTENS)) == 21
    assert platform.problems() == []


def test_an_event_id_under_another_listener_is_a_dead_letter(platform: Platform) -> None:
    platform.put("events_listens", event(1, user_id="owner"))
    platform.run()
    platform.put("events_listens", event(1, user_id="thief"), event(2, user_id="second"), partition=2)
    platform.put("events_listens", event(2, user_id="first"), partition=0)
    platform.run()
    assert {row["event_id"]: row["user_id"] for row in platform.rows(LISTENS)} == {
        "event-1": "owner",
        "event-2": "first",
    }
    dead = platform.rows("deadletter/events_listens")
    assert {row["reason"] for row in dead} == {Reason.EVENT_ID_OF_ANOTHER_LISTENER}
    assert sorted(row["key"] for row in dead) == [b"second", b"thief"]
    assert platform.problems() == []


@pytest.mark.parametrize("lost", ["nothing", "checkpoint", "both"])
def test_a_kill_between_silver_and_the_ledger_loses_and_doubles_nothing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    platform.put("events_listens", *(event(number) for number in range(10)))
    platform.run()
    platform.put("events_listens", *(event(number) for number in range(5, 20)), b"{")
    with monkeypatch.context() as patch:
        kill_at(patch, "append_arrow", when=lambda _rows, table, _root: table == LEDGER)
        with pytest.raises(Killed):
            platform.run()
    assert len(platform.rows(LISTENS)) == 20, "silver was committed, the ledger was not"
    if lost != "nothing":
        wipe_checkpoint(platform)
    if lost == "both":
        shutil.rmtree(platform.settings.checkpoint_root / intake.NAME / "claims")
    platform.put("events_listens", event(3), event(30))
    platform.run()
    assert ids(platform) == sorted(f"event-{number}" for number in [*range(20), 30])
    assert totals(platform.lake)["events_listens"] == Totals(received=28, stored=21, duplicate=6, dead_lettered=1)
    assert len(platform.rows("deadletter/events_listens")) == 1
    assert platform.problems() == []


@pytest.mark.parametrize("place", ["silver", "deadletter"])
def test_a_parser_deployed_between_two_commits_puts_no_message_in_both_or_neither(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    platform.put("events_listens", event(1), event(2), b"{")
    with monkeypatch.context() as patch:
        for write in ("commit_files", "append_arrow"):
            kill_at(patch, write, when=lambda _rows, table, _root: table.layer != place)
        with pytest.raises(Killed):
            platform.run()
    # The new parser takes what the old one refused, and refuses one that it took.
    monkeypatch.setattr(platform.feed, "stage", swapped)
    platform.run()
    stands = {"silver": ["event-1", "event-2", "new"], "deadletter": ["event-2"]}
    assert ids(platform) == stands[place]
    assert len(platform.rows("deadletter/events_listens")) == 3 - len(stands[place])
    assert platform.problems() == []


def swapped(batches, **options):  # type: ignore[no-untyped-def]
    """The parser of another release: `{` is an event, event-1 is not."""
    real, plain = columns.parse, columns._PLAIN_ITEM

    def other(topic, value, *, now):  # type: ignore[no-untyped-def]
        if value == b"{":
            return real(topic, b'{"event_id":"new","user_id":"u","event_type":"listen","item_id":"i",'
                        b'"timestamp":"2026-01-01T00:00:00Z"}', now=now)  # fmt: skip
        row = real(topic, value, now=now)
        return Rejection(Reason.BAD_FORMAT, None, "no more") if row["event_id"] == "event-1" else row

    columns.parse, columns._PLAIN_ITEM = other, "no id is plain"
    try:
        yield from stage(batches, **options)
    finally:
        columns.parse, columns._PLAIN_ITEM = real, plain


def test_a_wiped_checkpoint_goes_on_where_the_ledger_ends(platform: Platform) -> None:
    platform.put("events_clicks", *(event(number, kind="click") for number in range(8)))
    platform.run()
    wipe_checkpoint(platform)
    platform.put("events_clicks", event(3, kind="click"), event(50, kind="click"))
    platform.run()
    assert totals(platform.lake)["events_clicks"] == Totals(received=10, stored=9, duplicate=1)
    assert platform.problems() == []


def test_a_start_looks_only_into_files_that_came_since_the_last(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = recovery._claims

    def claims(fragment: Any, *rest: Any) -> Any:
        looked.append(fragment.path)
        return real(fragment, *rest)

    monkeypatch.setattr(recovery, "_claims", claims)
    starts = []
    for first in (0, 10, 20):
        platform.put("events_clicks", *(event(number, kind="click") for number in range(first, first + 10)))
        looked.clear()
        platform.run()
        starts.append(set(looked))
    assert [len(each) for each in starts] == [0, 1, 1]
    assert not starts[1] & starts[2]
    shutil.rmtree(platform.settings.checkpoint_root / intake.NAME / "claims")
    looked.clear()
    platform.put("events_clicks", event(3, kind="click"), event(13, kind="click"), event(23, kind="click"))
    platform.run()
    assert len(looked) == 3, "an index that is lost knows no file"
    assert totals(platform.lake)["events_clicks"] == Totals(received=33, stored=30, duplicate=3)
    assert platform.problems() == []


def test_a_recreated_topic_is_new_but_its_events_are_not(platform: Platform) -> None:
    platform.put("events_clicks", *(event(number, kind="click") for number in range(8)))
    platform.run()
    recreate_topics(platform.settings.bootstrap_servers)
    platform.put("events_clicks", event(3, kind="click"), event(50, kind="click"))
    platform.run()
    assert totals(platform.lake)["events_clicks"] == Totals(received=10, stored=9, duplicate=1)
    assert platform.problems() == []


def test_what_may_be_a_duplicate_waits_for_the_decision_and_is_stored_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_ROWS_TO_DOUBT", 1)
    platform.put("events_listens", *(event(number) for number in range(20)))
    platform.run()
    other = event(5, user_id="another")
    platform.put(
        "events_listens", event(3), event(30), event(31), b"{", event(31), event(32), event(4, source="x"), other
    )
    platform.run()
    assert ids(platform) == sorted(f"event-{number}" for number in [*range(20), 30, 31, 32])
    total = totals(platform.lake)["events_listens"]
    assert (total.stored, total.duplicate, total.dead_lettered, total.event_id_conflicts) == (23, 3, 2, 1)
    assert platform.problems() == []


def test_a_topic_that_is_made_anew_under_a_batch_is_not_taken_for_the_old(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader knows it by name: offsets of the new one would count as the old one's."""
    platform.put("events_clicks", *(event(number, kind="click") for number in range(8)))
    real = intake.decide

    def decide(*args: Any, **options: Any) -> Decision:
        recreate_topics(platform.settings.bootstrap_servers)
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(intake, "decide", decide)
        with pytest.raises(UnavailableError, match=r"events_clicks.* was made anew"):
            platform.run()
    assert platform.rows("silver/events_clicks") == platform.rows("lake/ledger") == []
    platform.put("events_clicks", event(50, kind="click"))
    platform.run()
    assert ids(platform, "silver/events_clicks") == ["event-50"]
    assert platform.problems() == []


def test_a_batch_that_cannot_be_accounted_for_stops_the_stream(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put("events_listens", *(event(number) for number in range(4)))
    monkeypatch.setattr(platform.feed, "stage", without_the_first)
    with pytest.raises(IntegrityError, match="were planned, but"):
        platform.run()
    assert platform.rows(LISTENS) == []
    assert platform.rows("lake/ledger") == []


def without_the_first(batches, **options):  # type: ignore[no-untyped-def]
    yield from stage((batch.filter(pc.greater(batch["kafka_offset"], 0)) for batch in batches), **options)


def test_the_catalogue_holds_the_last_value_of_each_key(platform: Platform) -> None:
    def song(item: str, name: str) -> dict[str, str]:
        return {"item_id": item, "name": name}

    platform.put("catalog_songs", song("track:a", "old"), song("track:b", "b"), song("track:a", "new"))
    platform.run()
    assert {row["item_id"]: row["name"] for row in platform.rows("silver/catalog_songs")} == {
        "track:a": "new", "track:b": "b",
    }  # fmt: skip
    platform.put("catalog_songs", None, key="track:b")
    platform.put("catalog_songs", song("track:c", "c"), song("track:a", "newest"), b"[]")
    platform.put("catalog_songs", None, key="track:c")
    platform.run()
    assert {row["item_id"]: row["name"] for row in platform.rows("silver/catalog_songs")} == {"track:a": "newest"}
    assert totals(platform.lake)["catalog_songs"] == Totals(received=8, stored=7, dead_lettered=1)
    assert platform.problems() == []


def test_a_missing_topic_is_named(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    found = admin.describe(platform.settings.bootstrap_servers)
    found.pop("events_views")
    monkeypatch.setattr(admin, "describe", lambda _servers: found)
    with pytest.raises(UnavailableError, match="events_views"):
        platform.run()


def test_a_second_writer_is_refused(platform: Platform) -> None:
    platform.put("events_listens", event(1))
    platform.run()
    rows = platform.lake.read(LEDGER)
    write = sinks.Write(expected={"test": None}, leaves={"test": 1}, note={})
    sinks.append_arrow(rows, LEDGER, platform.settings.storage, write=write)
    with pytest.raises(IntegrityError, match="does a second one write"):
        sinks.append_arrow(rows, LEDGER, platform.settings.storage, write=write)
    assert platform.lake.count(LEDGER) == 2 * rows.num_rows
