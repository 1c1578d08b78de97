"""The judge itself: what is lost, doubled, changed or invented in a lake is named, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from music_assets.sources.feed import ForeignMessage
from music_assets.sources.foreign import Planted
from streaming.lake import Lake
from streaming.parse import Reason, Row, parse
from streaming.storage import Storage
from streaming.tables import LEDGER, tables
from streaming.topics.admin import TopicState
from tests.chaos.plan import Plan, Posting, direct
from tests.chaos.truth import Truth, handle
from tests.chaos.verdict import Expected, Verdict, differences, expect, judge

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOPIC = "events_clicks"
LISTENERS = {f"user-{number}": f"listener-{number}" for number in range(3)}
BROKEN = Planted(ForeignMessage(TOPIC, "someone", b"{"), "dead_lettered", Reason.MALFORMED_JSON)


def click(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": f"event-{number}", "user_id": f"user-{number % 3}", "event_type": "click",
        "item_id": f"track:{number}", "timestamp": NOW.isoformat(), **fields,
    }  # fmt: skip


@pytest.fixture
def truth() -> Truth:
    truth = Truth()
    postings = [Posting(click(number)) for number in range(6)]
    postings += [Posting(click(2)), Posting(click(3, context="other"), contradicts=True)]
    postings.append(Posting(click(9, event_type="skip"), refused="event_type"))
    truth.plan(postings)
    verdicts = [{"verdict": "accepted"}] * 8 + [{"verdict": "rejected", "field": "event_type"}]
    truth.answer(postings, verdicts)
    truth.plan([Posting(click(6))])
    truth.sent(BROKEN, 1)
    return truth


def stored(*numbers: int) -> list[Row]:
    rows = [parse(TOPIC, json.dumps(click(n, user_id=f"listener-{n % 3}")).encode(), now=NOW) for n in numbers]
    return [row for row in rows if isinstance(row, dict)]


def write(root: Path, rows: list[Row], *, letters: int = 1) -> Lake:
    """A lake whose ledger agrees with its rows: the fault is then one that only the truth can tell."""
    lake = Lake(Storage.local(root))
    lake.create_all()
    total = len(rows) + letters
    position = {"kafka_topic_id": "topic", "kafka_partition": 0, "ingested_at": NOW}
    good = [{**row, **position, "kafka_offset": offset} for offset, row in enumerate(rows)]
    letter = {"kafka_timestamp": NOW, "key": b"someone", "value": b"{", "reason": "malformed_json", "detail": "bad"}
    bad = [{**position, **letter, "kafka_offset": offset} for offset in range(len(rows), total)]
    every = [{**position, "kafka_offset": offset, "kafka_timestamp": NOW} for offset in range(total)]
    entry = {
        "query": "q", "batch_id": 0, "topic": TOPIC, "kafka_topic_id": "topic", "kafka_partition": 0, "first_offset": 0,
        "end_offset": total, "received": total, "stored": len(rows), "duplicate": 0, "dead_lettered": letters,
        "event_id_conflicts": 0, "committed_at": NOW,
    }  # fmt: skip
    for table_id, content in (("silver/events_clicks", good), (f"deadletter/{TOPIC}", bad),
                              ("bronze/events_clicks", every), (LEDGER.id, [entry])):  # fmt: skip
        table = tables()[table_id]
        write_deltalake(DeltaTable(root / table.id), pa.Table.from_pylist(content, table.schema), mode="append")
    return lake


@pytest.fixture
def held(truth: Truth, tmp_path: Path) -> Callable[..., Verdict]:
    def judged(rows: list[Row], *, letters: int = 1) -> Verdict:
        lake = write(tmp_path / "lake", rows, letters=letters)
        end = len(rows) + letters
        broker = {TOPIC: TopicState(topic_id="topic", partitions=1, first_offsets={0: 0}, end_offsets={0: end})}
        return judge(expect(truth, LISTENERS), truth, lake, broker, failures=[])

    return judged


UNANSWERED = {"answers": [f"{TOPIC} event-6: no verdict"]}


@pytest.mark.parametrize("rows", [(0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5, 6)])
def test_what_was_sent_is_there_once(held: Callable[..., Verdict], rows: tuple[int, ...]) -> None:
    assert held(stored(*rows)).wrong() == UNANSWERED


def test_a_lost_row_is_named(held: Callable[..., Verdict]) -> None:
    assert held(stored(0, 1, 2, 4, 5)).wrong() == {**UNANSWERED, "lost": [f"{TOPIC} event-3"]}


@pytest.mark.parametrize("number", [4, 6])
def test_a_doubled_row_is_named_also_when_nobody_was_promised_it(held: Callable[..., Verdict], number: int) -> None:
    rows = stored(*{0, 1, 2, 3, 4, 5, number}, number)
    assert held(rows).wrong() == {**UNANSWERED, "doubled": [f"{TOPIC} event-{number}: 2 rows"]}


def test_a_row_that_says_something_else_is_named(held: Callable[..., Verdict]) -> None:
    rows = stored(0, 1, 2, 3, 4, 5)
    rows[3] |= {"context": "other", "user_id": "listener-9"}
    assert held(rows).wrong() == {**UNANSWERED, "changed": [f"{TOPIC} event-3: user_id, context"]}


def test_a_row_nobody_sent_is_named(held: Callable[..., Verdict]) -> None:
    assert held(stored(0, 1, 2, 3, 4, 5, 77)).wrong() == {**UNANSWERED, "invented": [f"{TOPIC} event-77"]}


def test_a_row_of_an_erased_listener_is_named(held: Callable[..., Verdict], truth: Truth) -> None:
    truth.erased.add("listener-0")
    found = held(stored(1, 2, 3, 4, 5)).wrong()
    assert found == {**UNANSWERED, "invented": [f"{TOPIC} event-3 of an erased listener"]}


def test_of_an_erased_listener_nothing_is_missed(held: Callable[..., Verdict], truth: Truth) -> None:
    truth.erased.add("listener-0")
    assert held(stored(1, 2, 4, 5)).wrong() == UNANSWERED


@pytest.mark.parametrize(("letters", "kind"), [(0, "lost"), (2, "doubled")])
def test_a_dead_letter_is_there_once(held: Callable[..., Verdict], letters: int, kind: str) -> None:
    assert held(stored(0, 1, 2, 3, 4, 5), letters=letters).wrong().keys() == {"answers", kind}


def test_a_verdict_that_was_not_planted_is_named(truth: Truth) -> None:
    truth.answer([Posting(click(1))], [{"verdict": "rejected", "field": "item_id"}])
    truth.answer([Posting(click(9), refused="mood")], [{"verdict": "accepted"}])
    assert len(truth.wrong) == 2


def test_two_lakes_are_compared_as_multisets(tmp_path: Path) -> None:
    left, right = write(tmp_path / "left", stored(0, 1, 1)), write(tmp_path / "right", stored(1, 2))
    assert differences(left, right, ignore=set()) == [
        f"{TOPIC} event-0: only in the disturbed run",
        f"{TOPIC} event-1: only in the disturbed run",
        f"{TOPIC} event-2: only in the undisturbed run",
    ]
    assert differences(left, right, ignore={(TOPIC, f"event-{number}") for number in range(3)}) == []


def test_a_contradiction_is_made_only_of_an_event_whose_place_is_settled() -> None:
    truth, posting = Truth(), Posting(click(1))
    truth.plan([posting])
    truth.answer([posting], [{"verdict": "spooled"}])
    assert truth.settled == []
    truth.answer([posting], [{"verdict": "accepted"}])
    assert truth.settled == [posting.event]


def test_the_same_seed_plans_the_same_and_all_kinds_of_it() -> None:
    def planned(seed: int) -> list[Posting]:
        plan = Plan(seed, NOW, 50)
        return [posting for _ in range(60) for posting in plan.request([])]

    assert planned(1) == planned(1) != planned(2)
    truth = Truth()
    truth.plan(planned(1))
    good = [posting for posting in truth.posted if posting.refused is None]
    assert len(truth.first) < len(good) < len(truth.posted)
    assert {topic for topic, _ in truth.first} == {"events_views", "events_clicks", "events_ratings", "events_listens"}
    assert len({handle(posting.event) for posting in good}) == len(truth.first)


def test_the_last_record_of_an_item_is_expected_and_none_after_its_withdrawal() -> None:
    truth, stream = Truth(), direct(1, Plan(1, NOW, 50).catalogue, NOW)
    records = [planted for planted in (next(stream) for _ in range(3000)) if "catalog" in planted.message.topic]
    withdrawn = Random(1).choice(records)
    for planted in [*records, replace(withdrawn, message=replace(withdrawn.message, value=None))]:
        truth.sent(planted, 1)
    expected: Expected = expect(truth, {})
    last = {planted.message.key: planted.message.value for planted, _ in truth.direct}
    assert {key for _, key in expected.rows} == {key for key, value in last.items() if value is not None}
    assert all(row["name"] in (last[key] or b"").decode() for (_, key), row in expected.rows.items())
