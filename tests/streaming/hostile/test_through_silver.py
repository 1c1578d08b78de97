"""The whole corpus on a real broker, through the real jobs: each message is in one place, for its reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, Message, Producer

from streaming.ledger import Totals, totals
from streaming.topics import topics
from tests.streaming.conftest import BRONZE, Platform
from tests.streaming.hostile.case import Case
from tests.streaming.hostile.corpus import cases

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = [pytest.mark.spark, pytest.mark.slow]

Position = tuple[int, int]
SENT = [case for case in cases() if not case.by_clock]
HEADERS = [("traceparent", None), ("twice", b"1"), ("twice", b"\xff"), ("", b"")]


def send(bootstrap_servers: str, wanted: Iterable[Case]) -> dict[str, dict[Position, Case]]:
    """Send messages and return them by topic and position."""
    placed: dict[str, dict[Position, Case]] = defaultdict(dict)
    # The client's own bound is below that of the broker, which takes a megabyte.
    producer = Producer({"bootstrap.servers": bootstrap_servers, "message.max.bytes": 1_048_588, "linger.ms": 5})
    for case in wanted:

        def told(error: KafkaError | None, message: Message, case: Case = case) -> None:
            assert error is None, (case, error)
            placed[case.topic][message.partition(), message.offset()] = case

        producer.produce(case.topic, key=case.key, value=case.value, headers=HEADERS, on_delivery=told)
        producer.poll(0)
    assert producer.flush(60) == 0
    return placed


def at(rows: list[dict[str, Any]]) -> dict[Position, dict[str, Any]]:
    found = {(row["kafka_partition"], row["kafka_offset"]): row for row in rows}
    assert len(found) == len(rows), "no position twice"
    return found


def outcome(case: Case) -> str:
    if case.reason is not None or case.fate not in {"", "duplicate", "deleted"}:
        return "dead_lettered"
    return "duplicate" if case.fate == "duplicate" else "stored"


def test_each_message_is_in_one_place_for_its_reason(platform: Platform) -> None:
    placed = send(platform.settings.bootstrap_servers, SENT)
    assert sum(map(len, placed.values())) == len(SENT)
    platform.run(BRONZE)
    platform.run(halt_dead_letter_share=1)
    assert platform.problems() == []
    counted = totals(platform.lake)
    for topic in topics().values():
        expected = Counter(outcome(case) for case in placed[topic.name].values())
        assert counted[topic.name] == Totals(received=sum(expected.values()), **expected), topic.name
        _check_bronze(at(platform.rows(f"bronze/{topic.table}")), placed[topic.name])
        _check_dead_letters(at(platform.rows(f"deadletter/{topic.name}")), placed[topic.name])
        _check_silver(at(platform.rows(f"silver/{topic.table}")), placed[topic.name])
    platform.run(halt_dead_letter_share=1)
    assert totals(platform.lake) == counted, "sent once, taken once"


def _check_bronze(rows: dict[Position, dict[str, Any]], placed: dict[Position, Case]) -> None:
    assert rows.keys() == placed.keys()
    for position, case in placed.items():
        row = rows[position]
        assert (row["key"], row["value"]) == (case.key, case.value), case
        assert [(each["key"], each["value"]) for each in row["headers"]] == HEADERS, case


def _check_dead_letters(rows: dict[Position, dict[str, Any]], placed: dict[Position, Case]) -> None:
    assert rows.keys() == {position for position, case in placed.items() if outcome(case) == "dead_lettered"}
    for position, row in rows.items():
        case = placed[position]
        reason, blamed = (case.reason, case.blamed) if case.reason else (case.fate, "event_id")
        assert (row["reason"], row["field"]) == (reason, blamed), case
        assert (row["key"], row["value"]) == (case.key, case.value), case
        assert row["detail"]


def _check_silver(rows: dict[Position, dict[str, Any]], placed: dict[Position, Case]) -> None:
    kept = {at: case for at, case in placed.items() if outcome(case) == "stored" and case.fate != "deleted"}
    assert rows.keys() == kept.keys()
    for position, case in kept.items():
        for name, value in case.holds.items():
            held = rows[position][name]
            assert (held.isoformat() if name == "timestamp" else held) == value, case


@pytest.mark.parametrize("topic", [name for name, topic in topics().items() if topic.compacted])
def test_a_compacted_topic_takes_nothing_without_a_key(broker: str, topic: str) -> None:
    """The broker itself refuses it, so no reader ever meets one."""
    errors: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": broker, "log_level": 0})
    for value in (None, b"{}"):
        producer.produce(topic, value=value, on_delivery=lambda error, _message: errors.append(error))
    assert producer.flush(30) == 0
    assert [error.name() for error in errors if error] == ["INVALID_RECORD"] * 2
