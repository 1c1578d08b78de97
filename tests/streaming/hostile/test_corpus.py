"""Every hostile message has the outcome it must have, from two judges, in bounded time, whoever reads it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pytest

from streaming.columns import mark_of
from streaming.parse import Reason, Rejection, parse
from streaming.tables import arrow_schema
from streaming.topics import topics
from tests.streaming.hostile.case import MARK, NOW, Case
from tests.streaming.hostile.corpus import FAMILIES, cases
from tests.streaming.hostile.oracle import depth, verdict

VALUES = [case for case in cases() if case.value is not None or not topics()[case.topic].compacted]
"""All but the tombstones of catalogues, which are no matter of the parser."""

SLOWEST = 25
"""Times the decoding of as much harmless JSON: a quarter of a megabyte, the largest message that is looked into."""

HARMLESS = b"[" + b"1," * 131_000 + b"1]"


def stated(case: Case) -> tuple[Reason | None, str | None]:
    return case.reason, case.blamed


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_each_case_has_its_outcome(family: Any) -> None:
    wrong = {}
    for case in (case for case in family() if case in VALUES):
        outcome = parse(case.topic, case.value, now=NOW)
        if isinstance(outcome, Rejection):
            if (outcome.reason, outcome.field) != stated(case):
                wrong[case.name] = outcome
        elif case.reason is not None or any(_plain(outcome[name]) != value for name, value in case.holds.items()):
            wrong[case.name] = outcome
    assert wrong == {}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def test_the_other_judge_agrees_on_every_case() -> None:
    wrong = {
        str(case): judged
        for case in VALUES
        if (judged := verdict(topics()[case.topic], case.value, NOW) or (None, None)) != stated(case)
    }
    assert wrong == {}


def test_a_name_occurs_once_and_every_topic_meets_every_reason_it_can() -> None:
    assert [str(case) for case, count in Counter(map(str, cases())).items() if count > 1] == []
    events = {name for name, topic in topics().items() if topic.event_type is not None}
    of_all = set(Reason) - {
        Reason.WRONG_TOPIC, Reason.UNKNOWN_EVENT_TYPE, Reason.EVENT_ID_OF_ANOTHER_LISTENER, Reason.FUTURE_TIME,
        Reason.BAD_FORMAT,
    }  # fmt: skip
    for name in topics():
        met = {case.reason for case in cases() if case.topic == name}
        assert of_all - {Reason.TOO_LARGE} <= met, name
    met = {case.reason for case in cases() if case.topic in events} | {case.fate for case in cases()}
    assert met >= set(Reason)


def test_no_rejection_repeats_what_a_listener_did() -> None:
    marked = 0
    for case in VALUES:
        outcome = parse(case.topic, case.value, now=NOW)
        if isinstance(outcome, Rejection):
            marked += MARK.encode() in (case.value or b"")
            assert MARK not in outcome.detail, case
            assert len(outcome.detail) < 300, case
    assert marked > 200


def test_no_message_takes_long() -> None:
    harmless = cpu_seconds(lambda: json.loads(HARMLESS))
    times = {str(case): cpu_seconds(partial(parse, case.topic, case.value, now=NOW)) for case in VALUES}
    assert {name: seconds / harmless for name, seconds in times.items() if seconds > SLOWEST * harmless} == {}


def cpu_seconds(work: Callable[[], object]) -> float:
    """The best of a few: the machine does other things as well."""
    taken = []
    for _ in range(3):
        started = time.thread_time()
        work()
        taken.append(time.thread_time() - started)
    return min(taken)


def test_a_verdict_does_not_depend_on_how_deep_the_reader_stands() -> None:
    """The decoder's own bound is what is left of Python's stack."""

    def at(level: int) -> list[Any]:
        return at(level - 1) if level else [parse(case.topic, case.value, now=NOW) for case in VALUES]

    assert at(800) == at(0)


def test_a_row_fits_its_table_and_read_again_is_the_same_row() -> None:
    for case in VALUES:
        row = parse(case.topic, case.value, now=NOW)
        if isinstance(row, dict):
            assert_stable(case.topic, row)


def assert_stable(topic: str, row: dict[str, Any]) -> None:
    """A row goes into its table, and written as a message it is read as itself."""
    schema = arrow_schema(topics()[topic].model)
    assert list(row) == schema.names
    pa.Table.from_pylist([row], schema).validate(full=True)
    message = {name: _plain(value) for name, value in row.items() if value is not None}
    again = parse(topic, json.dumps(message).encode(), now=NOW)
    assert again == row
    if "event_id" in row:
        assert mark_of(topic, again) == mark_of(topic, row)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("", 0), ("[]", 1), ("[[]]", 2),
        ('["[[["]', 1), ('["\\"[["]', 1), ('["\\\\",[]]', 2), ('"[[', 0), ("]]]][", -3),
        ("[" * 70, 70), ('{"a":"' + "[" * 70 + '"}', 1), ("[]" * 70, 1), ('["' + "\\" * 71 + '"' + "[" * 80, 1),
    ],
)  # fmt: skip
def test_the_judge_counts_brackets(text: str, levels: int) -> None:
    assert depth(text) == max(levels, 0)
