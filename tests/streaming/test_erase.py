"""A forgotten listener is in no file, stays out, and costs nobody else a row; whatever is killed meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from streaming.columns import listener_hash, mark_of
from streaming.errors import ConfigurationError
from streaming.jobs import erase as erasure
from streaming.jobs.erase import erase_once
from streaming.ledger import totals
from streaming.parse import Row, parse
from streaming.sinks.files import write_data_file
from streaming.tables import silver, tables
from tests.streaming.conftest import BRONZE, SILVER, Platform, event
from tests.streaming.scanner import scan

if TYPE_CHECKING:
    from datetime import datetime

    from streaming.control import Receipt

pytestmark = pytest.mark.spark

PERSON = "3f9a-planted-listener"
ADDRESS = "12 Planted Lane, Springfield"
ITEM = "track:planted-item"
NEEDLES = [PERSON.encode(), ADDRESS.encode(), ITEM.encode(), b"planted-event"]
KINDS = {"events_listens": "listen", "events_views": "view", "events_clicks": "click", "events_ratings": "rating"}


def planted(number: int, kind: str) -> dict[str, Any]:
    return event(
        number, kind=kind, user_id=PERSON, item_id=ITEM, context=f"at home, {ADDRESS}",
        event_id=f"planted-event-{kind}-{number}",
    )  # fmt: skip


def shown(user: str, name: str) -> dict[str, Any]:
    return {
        "event_id": f"{name}-exposure", "user_id": user, "timestamp": "2026-01-01T12:00:00Z", "model_version": "m",
        "rung": "personal", "item_ids": ["track:1"], "sources": ["als"], "reasons": [f"because of {name}"],
        "context": "home",
    }  # fmt: skip


def plant(platform: Platform) -> None:
    """Events of ten others around those of one: good, twice, in conflict, broken, cut off, under another's id."""
    for topic, kind in KINDS.items():
        platform.put(topic, *(event(number, kind=kind) for number in range(12)))
        platform.put(topic, *(planted(number, kind) for number in range(3)), planted(1, kind))
        platform.put(topic, {**planted(2, kind), "source": "again"}, event(3, kind=kind))
        platform.put(topic, b'{"context": "' + ADDRESS.encode() + b'", ', key=PERSON)
        platform.put(topic, f'{{"user_id": "{PERSON}", "context": "{ADDRESS}'.encode(), key="somebody")
        platform.put(
            topic, {**planted(9, kind), "timestamp": "9999-01-01T00:00:00Z"}, event(5, kind=kind, user_id=PERSON)
        )
        platform.put(topic, b"{", key="listener-1")
    platform.put("music_recommendations", shown(PERSON, "planted-event"), shown("listener-1", "other"))
    platform.put("catalog_songs", {"item_id": "track:a", "name": "A"}, planted(1, "listen"), key="track:a")


def erase(platform: Platform, *listeners: str, name: str = "request-1") -> Receipt:
    return erase_once(listeners or [PERSON], name, platform.settings, platform.spark)


def everything(platform: Platform) -> dict[str, Counter[str]]:
    """Every row of the tables that hold messages, as a multiset, without when it came in."""
    return {
        table.id: Counter(
            repr(sorted((name, value) for name, value in row.items() if name != "ingested_at"))
            for row in platform.rows(table.id)
        )
        for table in tables().values()
        if table.layer in {"silver", "bronze", "deadletter"}
    }


def of_others(rows: dict[str, Counter[str]]) -> dict[str, Counter[str]]:
    return {name: Counter({row: n for row, n in held.items() if "lanted" not in row}) for name, held in rows.items()}


def claims() -> list[bytes]:
    return [digest(planted(number, kind), topic) for topic, kind in KINDS.items() for number in range(3)]


def digest(message: dict[str, Any], topic: str) -> bytes:
    return mark_of(topic, read(topic, message))[0]


def read(topic: str, message: dict[str, Any]) -> Row:
    row = parse(topic, json.dumps(message).encode(), now=_now())
    assert isinstance(row, dict)
    return row


def _now() -> datetime:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def run(platform: Platform) -> None:
    platform.run(SILVER)
    platform.run(BRONZE)


def assert_gone(platform: Platform) -> None:
    root = platform.settings.storage.folder
    assert scan(root, NEEDLES) == {}
    assert scan(root / "_checkpoints", [*claims(), listener_hash(PERSON)]) == {}
    assert platform.problems() == []


def test_nothing_of_a_listener_is_left_and_nothing_of_others_is_touched(platform: Platform) -> None:
    plant(platform)
    run(platform)
    root = platform.settings.storage.folder
    stray = pa.Table.from_pylist([dict(platform.rows("silver/events_views")[0], user_id=PERSON, context=ADDRESS)])
    write_data_file(stray, silver("events_views"), platform.settings.storage)
    before = everything(platform)
    found = scan(root, NEEDLES)
    assert set().union(*found.values()) == set(NEEDLES)
    assert {name.split("/")[0] for name in found} == {"silver", "bronze", "deadletter"}
    assert scan(root / "_checkpoints", claims()), "the index holds the claims"

    receipt = erase(platform)

    assert_gone(platform)
    assert everything(platform) == of_others(before)
    assert receipt.rows["silver/events_listens"] == 3
    assert receipt.rows["deadletter/events_listens"] == 4
    assert receipt.rows["bronze/events_listens"] == 9
    assert receipt.rows["silver/recommendation_events"] == 1
    order = ["lake", "kafka/events_views", "kafka/events_listens"]
    moments = [receipt.hidden_at, *(moment for name in order if (moment := receipt.gone_at[name]))]
    assert moments == sorted(moments)
    assert receipt.gone_at["kafka/catalog_songs"] is None, "what is misplaced there has no date"
    erased = platform.rows("lake/erased_positions")
    outcomes = Counter(row["outcome"] for row in erased if row["topic"] == "events_views")
    assert outcomes == {"stored": 3, "dead_lettered": 4, "duplicate": 2}


def test_a_forgotten_listener_stays_out_and_the_ledger_counts_it(platform: Platform) -> None:
    plant(platform)
    erase(platform)
    before = everything(platform)
    platform.put("events_listens", *(planted(number, "listen") for number in range(4)), b"{", key=PERSON)
    platform.put("events_listens", event(50))
    run(platform)
    assert_gone(platform)
    after = everything(platform)
    assert sum(after["silver/events_listens"].values()) == sum(before["silver/events_listens"].values()) + 1
    assert sum(after["bronze/events_listens"].values()) == sum(before["bronze/events_listens"].values()) + 1
    assert totals(platform.lake)["events_listens"].erased == 9 + 5
    # The id of an erased event is free: whoever comes with it next is not turned away in a forgotten one's name.
    platform.put("events_listens", {**planted(1, "listen"), "user_id": "listener-1"})
    run(platform)
    rows = platform.rows("silver/events_listens")
    assert [row["user_id"] for row in rows if row["event_id"].startswith("planted")] == ["listener-1"]


STEPS = ["bring_up_to_now", "write_tombstones", "find", "write_positions", "forget_claims", "sweep_files"]
TABLES = ["silver/events_clicks", "deadletter/events_views", "bronze/events_listens"]


class Killed(Exception):  # noqa: N818 - it stands for a kill, not for an error of ours
    """Stands for kill -9 at one place: nothing after it happens."""


def kill_after(patch: pytest.MonkeyPatch, name: str, table: str = "") -> None:
    real = getattr(erasure, name)

    def die(*args: Any, **options: Any) -> None:
        real(*args, **options)
        if not table or args[0].id == table:
            raise Killed

    patch.setattr(erasure, name, die)


PLACES = [(step, "") for step in STEPS] + [(way, each) for way in ("remove_positions", "sweep") for each in TABLES]


@pytest.mark.parametrize(("step", "table"), PLACES)
def test_a_killed_erasure_is_ended_by_asking_again(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, step: str, table: str
) -> None:
    plant(platform)
    run(platform)
    before = everything(platform)
    with monkeypatch.context() as patch:
        kill_after(patch, step, table)
        with pytest.raises(Killed):
            erase(platform)
    assert platform.problems() == []
    platform.put("events_listens", event(60), planted(60, "listen"), planted(0, "listen"))
    run(platform)
    assert platform.problems() == []
    erase(platform)
    assert_gone(platform)
    after = everything(platform)
    for layer in ("silver", "bronze"):
        more = after[f"{layer}/events_listens"] - of_others(before)[f"{layer}/events_listens"]
        assert sum(more.values()) == 1
        assert of_others(before)[f"{layer}/events_listens"] <= after[f"{layer}/events_listens"]
    again = erase(platform)
    assert not any(again.rows.values())
    assert platform.problems() == []


def test_a_batch_that_was_never_accounted_for_is_erased_too(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silver was written, the ledger was not, and silver is halted: the erasure does not wait for the fix."""
    from streaming.jobs import intake
    from streaming.tables import LEDGER

    plant(platform)
    real = intake.append_arrow

    def die(rows: Any, table: Any, *args: Any, **options: Any) -> None:
        if table == LEDGER:
            raise Killed
        real(rows, table, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(intake, "append_arrow", die)
        with pytest.raises(Killed):
            platform.run(SILVER)
    with monkeypatch.context() as patch:
        patch.setattr(erasure, "bring_up_to_now", lambda jobs: jobs.bronze().run())
        erase(platform)
    assert scan(platform.settings.storage.folder, NEEDLES) == {}
    run(platform)
    assert_gone(platform)


def test_one_id_that_begins_another_is_not_the_other(platform: Platform) -> None:
    cut = b'{"user_id": "%s", "contex'
    platform.put("events_views", event(1, kind="view", user_id="ab"), event(2, kind="view", user_id="abc"))
    platform.put("events_views", cut % b"ab", cut % b"abc", cut % b"x-ab", key="x")
    run(platform)
    erase(platform, "ab")
    assert {row["user_id"] for row in platform.rows("silver/events_views")} == {"abc"}
    assert sorted(row["value"] for row in platform.rows("deadletter/events_views")) == [cut % b"abc", cut % b"x-ab"]
    assert platform.problems() == []


@pytest.mark.parametrize(
    ("listeners", "name", "said"),
    [
        ([], "r", "at least one listener id"),
        ([""], "r", "1 to 128 characters"),
        (["x" * 129], "r", "1 to 128 characters"),
        (["ann"], "for-ann", "holds a listener id"),
        (["ann"], "a b", "1 to 64 letters"),
    ],
)
def test_a_request_that_cannot_be_is_refused(platform: Platform, listeners: list[str], name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        erase_once(listeners, name, platform.settings, platform.spark)


def test_other_stores_are_asked_and_named_in_the_receipt(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setitem(erasure.STORES, "online", lambda _settings, ids: asked.extend(ids))
    assert erase(platform).gone_at["online"] is not None
    assert asked == [PERSON]


def test_a_predicate_would_have_been_found(platform: Platform) -> None:
    """What the scanner is for: the plain way to delete leaves the id in the log."""
    platform.put("events_views", planted(1, "view"))
    platform.run(SILVER)
    table = DeltaTable(str(platform.settings.storage.folder / silver("events_views").id))
    table.delete(f"user_id = '{PERSON}'")
    table.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)
    found = scan(platform.settings.storage.folder / silver("events_views").id, [PERSON.encode()])
    assert [name.split("/")[0] for name in found] == ["_delta_log"]
