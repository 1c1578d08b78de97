"""Holds what is found against what was planted: a promise is kept or there is a sentence that says what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from music_assets.demo.snapshot import Snapshot
from music_assets.sources.client import Verdicts
from music_assets.sources.feed import Truth
from streaming.ledger import Totals

Broken = dict[str, list[str]]
"""By promise, one sentence for everything that breaks it; an empty list is a promise that is kept."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a run did, to be compared with its truth.

    Attributes:
        before: the lake before anything was sent.
        after: the lake after everything was stored.
        verdicts: what the API said.
        undisturbed: no answer or acknowledgement was lost, so that every count must be equal; otherwise a
            message may have been sent twice, and counts of duplicates and dead letters may be higher.
        ledger_problems: what the ledger's own check found.
        catalogue: item ids that were sent, by topic.
    """

    before: Snapshot
    after: Snapshot
    verdicts: Verdicts
    undisturbed: bool
    ledger_problems: Sequence[str]
    catalogue: Mapping[str, frozenset[str]]


def compare(truth: Truth, found: Found) -> Broken:
    """Return what is wrong, by promise."""
    return {
        "ledger_balances": list(found.ledger_problems),
        "rejections_equal_truth": list(_rejections(truth, found)),
        "nothing_lost": list(_lost(truth, found)),
        "nothing_twice": list(_twice(truth, found)),
        "dead_letters_complete": list(_dead_letters(truth, found)),
    }


def _rejections(truth: Truth, found: Found) -> Iterator[str]:
    if found.verdicts.posted != truth.posted:
        yield f"{truth.posted} events were posted, {found.verdicts.posted} got a verdict"
    for field in sorted({*truth.rejected, *found.verdicts.rejected}):
        expected, seen = truth.rejected.get(field, 0), found.verdicts.rejected[field]
        if expected != seen:
            yield f"the API refused {seen} events for {field}, {expected} were planted"


def _lost(truth: Truth, found: Found) -> Iterator[str]:
    for topic, expected in truth.topics.items():
        rows = found.after.rows.get(topic, 0) - found.before.rows.get(topic, 0)
        if rows != expected.stored:
            yield f"silver/{topic} gained {rows} rows, {expected.stored} were planted"
        received = difference(found, topic).received
        if received < expected.received or (found.undisturbed and received != expected.received):
            yield f"{topic} received {received} messages, {expected.received} were sent"
    for topic, items in found.catalogue.items():
        missing = len(items - found.after.items.get(topic, frozenset()))
        if missing:
            yield f"silver/{topic} lacks {missing} of {len(items)} items"


def _twice(truth: Truth, found: Found) -> Iterator[str]:
    for topic, expected in truth.topics.items():
        rows, ids = found.after.rows.get(topic, 0), found.after.event_ids.get(topic, 0)
        if rows != ids:
            yield f"silver/{topic} has {rows} rows of {ids} event ids"
        seen = difference(found, topic)
        yield from _unequal(topic, "duplicates", seen.duplicate, expected.duplicate, exact=found.undisturbed)
        yield from _unequal(
            topic, "event id conflicts", seen.event_id_conflicts, expected.event_id_conflicts, exact=found.undisturbed
        )


def _dead_letters(truth: Truth, found: Found) -> Iterator[str]:
    for topic, expected in truth.topics.items():
        reasons = dead_letters(found, topic)
        for reason in sorted({*expected.dead_lettered, *reasons}):
            planted = expected.dead_lettered.get(reason, 0)
            yield from _unequal(topic, f"dead letters {reason}", reasons[reason], planted, exact=found.undisturbed)
        counted, rows = difference(found, topic).dead_lettered, reasons.total()
        if counted != rows:
            yield f"{topic}: the ledger counts {counted} dead letters, deadletter/{topic} gained {rows}"


def _unequal(topic: str, what: str, seen: int, expected: int, *, exact: bool) -> Iterator[str]:
    if seen < expected or (exact and seen != expected):
        yield f"{topic}: {seen} {what}, {expected} were planted"


def difference(found: Found, topic: str) -> Totals:
    """Return what the ledger of a topic gained."""
    after, before = found.after.totals.get(topic, Totals()), found.before.totals.get(topic, Totals())
    return Totals(
        received=after.received - before.received,
        stored=after.stored - before.stored,
        duplicate=after.duplicate - before.duplicate,
        dead_lettered=after.dead_lettered - before.dead_lettered,
        event_id_conflicts=after.event_id_conflicts - before.event_id_conflicts,
    )


def dead_letters(found: Found, topic: str) -> Counter[str]:
    """Return the dead letters a topic gained, by reason."""
    gained = Counter(found.after.dead_letters.get(topic, Counter()))
    gained.subtract(found.before.dead_letters.get(topic, Counter()))
    return +gained


def planted_json(truth: Truth) -> dict[str, Any]:
    """Return the truth for the report."""
    return {
        "posted": truth.posted,
        "rejected": dict(sorted(truth.rejected.items())),
        "topics": {
            topic: {
                "received": each.received,
                "stored": each.stored,
                "duplicate": each.duplicate,
                "dead_lettered": each.dead_letters,
                "reasons": dict(sorted(each.dead_lettered.items())),
            }
            for topic, each in truth.topics.items()
        },
        "catalogue": dict(truth.catalogue),
        "trend": truth.trend_item,
    }


def found_json(truth: Truth, found: Found, trend: str | None) -> dict[str, Any]:
    """Return what was found, in the form of `planted_json`."""
    gained = {topic: difference(found, topic) for topic in truth.topics}
    return {
        "posted": found.verdicts.posted,
        "rejected": dict(sorted(found.verdicts.rejected.items())),
        "topics": {
            topic: {
                "received": each.received,
                "stored": found.after.rows.get(topic, 0) - found.before.rows.get(topic, 0),
                "duplicate": each.duplicate,
                "dead_lettered": each.dead_lettered,
                "reasons": dict(sorted(dead_letters(found, topic).items())),
            }
            for topic, each in gained.items()
        },
        "catalogue": {
            topic: len(items & found.after.items.get(topic, frozenset())) for topic, items in found.catalogue.items()
        },
        "trend": trend,
    }
