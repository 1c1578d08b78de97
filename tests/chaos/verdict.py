"""Holds a lake against what was sent, row by row, and against the lake of a run that nothing disturbed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final

from streaming import ledger
from streaming.lake import Lake
from streaming.parse import Rejection, Row, parse
from streaming.tables import silver, tables
from streaming.topics import catalog_topics, log_topics, topics
from streaming.topics.admin import TopicState
from tests.chaos.truth import Truth

Key = tuple[str, str]
"""A topic and the key of a row in its silver table: an event id or an item id."""

Letter = tuple[str, bytes, bytes | None, str]
"""A dead letter: topic, key, value, reason."""

_SHOWN: Final = 20


@dataclass
class Expected:
    """What a truth comes to.

    Attributes:
        rows: by key the row that must be in silver, in business columns.
        optional: keys that may be there or not, because nobody ever said what became of them.
        erased: keys that must not be there, because their listener was erased.
        letters: dead letters with the least and the greatest number of rows.
    """

    rows: dict[Key, Row] = field(default_factory=dict)
    optional: set[Key] = field(default_factory=set)
    erased: set[Key] = field(default_factory=set)
    letters: dict[Letter, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Verdict:
    """What is wrong, one line for each: all empty means that every promise was kept.

    Attributes:
        lost: acknowledged, and not in silver or the dead letters.
        doubled: more than one row.
        changed: a row says something else than what was sent.
        invented: a row that nobody sent, or that must not be there.
        ledger: what the ledger's own check and bronze's count say.
        unlike: differences from the undisturbed run.
        answers: verdicts of the API that are not the planted ones, and events without any.
        trouble: what kept the run itself from going as planned.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    def wrong(self) -> dict[str, list[str]]:
        """Return what is wrong by name, without the names under which nothing is."""
        return {part.name: getattr(self, part.name) for part in fields(self) if getattr(self, part.name)}

    def __str__(self) -> str:
        lines = []
        for name, found in self.wrong().items():
            lines += [f"{name}: {len(found)}", *(f"  {line}" for line in found[:_SHOWN])]
            lines += [f"  and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        return "\n".join(lines)


def expect(truth: Truth, listeners: Mapping[str, str]) -> Expected:
    """Work out from the record, with the public parser, what must be in the lake.

    Args:
        truth: what was sent.
        listeners: the listener id of each client's user id.
    """
    expected, now, unanswered = Expected(), datetime.now(UTC), truth.unanswered
    for name, event in truth.first.items():
        listener = listeners.get(event["user_id"])
        if listener is None and name in unanswered:
            continue
        value = json.dumps({**event, "user_id": listener}).encode()
        _expect_row(expected, name[0], value, now, optional=name in unanswered)
    for key in [key for key, row in expected.rows.items() if row.get("user_id") in truth.erased]:
        del expected.rows[key]
        expected.erased.add(key)
    for planted, times in truth.direct:
        message = planted.message
        if planted.fate != "dead_lettered":
            _expect_row(expected, message.topic, message.value, now, item_id=message.key)
            continue
        letter = (message.topic, message.key.encode(), message.value, str(planted.reason))
        least, most = expected.letters.get(letter, (0, 0))
        expected.letters[letter] = (least + 1, most + times)
    return expected


def _expect_row(
    expected: Expected, topic: str, value: bytes | None, now: datetime, *, optional: bool = False, item_id: str = ""
) -> None:
    if topics()[topic].compacted:
        expected.rows.pop((topic, item_id), None)
        if value is None:
            return
    row = parse(topic, value, now=now)
    if isinstance(row, Rejection):
        raise TypeError(f"a good event of {topic} does not parse: {row}")
    key = (topic, row[_key_of(topic)])
    # Of two events under one id the first holds; of two records of one item the last, which was just dropped.
    expected.rows.setdefault(key, row)
    if optional:
        expected.optional.add(key)


def judge(
    expected: Expected, truth: Truth, lake: Lake, broker: dict[str, TopicState], *, failures: list[str]
) -> Verdict:
    """Compare a lake, in which nothing waits any more, with what must be in it."""
    verdict = Verdict(answers=list(truth.wrong), trouble=failures)
    verdict.answers += [f"{topic} {identity}: no verdict" for topic, identity in sorted(truth.unanswered)]
    _judge_rows(expected, rows_of(lake), verdict)
    _judge_letters(expected, lake, verdict)
    verdict.ledger = [*ledger.problems(lake, broker), *_bronze(lake)]
    return verdict


def _judge_rows(expected: Expected, stored: dict[Key, list[Row]], verdict: Verdict) -> None:
    verdict.lost += [_name(key) for key in expected.rows if key not in stored and key not in expected.optional]
    for key, rows in stored.items():
        if len(rows) > 1:
            verdict.doubled.append(f"{_name(key)}: {len(rows)} rows")
        if key not in expected.rows:
            verdict.invented.append(_name(key) + (" of an erased listener" if key in expected.erased else ""))
            continue
        wrong = [name for name, value in expected.rows[key].items() if rows[0][name] != value]
        if wrong:
            verdict.changed.append(f"{_name(key)}: {', '.join(wrong)}")


def _judge_letters(expected: Expected, lake: Lake, verdict: Verdict) -> None:
    found = letters_of(lake)
    for letter, (least, most) in expected.letters.items():
        name = f"dead letter {letter[0]} {letter[1].decode()} {letter[3]}"
        if found[letter] < least:
            verdict.lost.append(f"{name}: {found[letter]} of {least}")
        elif found[letter] > most:
            verdict.doubled.append(f"{name}: {found[letter]}, sent at most {most} times")
    strange = found.keys() - expected.letters.keys()
    verdict.invented += [f"dead letter {topic} {key!r} {reason}" for topic, key, _, reason in sorted(strange, key=repr)]


def _bronze(lake: Lake) -> Iterator[str]:
    for name, total in ledger.totals(lake).items():
        rows = lake.count(tables()[f"bronze/{topics()[name].table}"])
        if rows != total.received - total.erased:
            yield (
                f"bronze/{topics()[name].table} has {rows} rows, the ledger received {total.received}, "
                f"{total.erased} of them erased"
            )


def rows_of(lake: Lake) -> dict[Key, list[Row]]:
    """Return every row of silver by key, in business columns: what the sender said, not where it lay."""
    found: dict[Key, list[Row]] = defaultdict(list)
    for topic in [*log_topics(), *catalog_topics()]:
        for row in lake.read(silver(topic.table), list(topic.model.model_fields)).to_pylist():
            found[topic.name, row[_key_of(topic.name)]].append(row)
    return found


def letters_of(lake: Lake) -> Counter[Letter]:
    """Return the dead letters with their number."""
    found: Counter[Letter] = Counter()
    for topic in topics().values():
        rows = lake.read(tables()[f"deadletter/{topic.name}"], ["key", "value", "reason"]).to_pylist()
        found.update((topic.name, row["key"], row["value"], row["reason"]) for row in rows)
    return found


def differences(disturbed: Lake, undisturbed: Lake, *, ignore: set[Key]) -> list[str]:
    """Compare the business columns of two lakes' silver tables as multisets; return one line for each difference."""
    left, right = (_multiset(lake, ignore) for lake in (disturbed, undisturbed))
    lines = [f"{_name(key)}: only in the disturbed run" for key, _ in (left - right).elements()]
    return lines + [f"{_name(key)}: only in the undisturbed run" for key, _ in (right - left).elements()]


def _multiset(lake: Lake, ignore: set[Key]) -> Counter[tuple[Key, str]]:
    return Counter(
        (key, json.dumps(row, default=str, sort_keys=True))
        for key, rows in rows_of(lake).items()
        if key not in ignore
        for row in rows
    )


def _key_of(topic: str) -> str:
    return silver(topics()[topic].table).key[0]


def _name(key: Key) -> str:
    return f"{key[0]} {key[1]}"


def counts(lake: Lake) -> dict[str, Any]:
    """Return the ledger's totals by topic, for the report."""
    return {name: vars(total) for name, total in ledger.totals(lake).items() if total.received}
