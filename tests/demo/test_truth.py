"""Every comparison of found with planted must notice the smallest difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from music_assets.demo.snapshot import Snapshot
from music_assets.demo.truth import Found, compare, found_json, planted_json
from music_assets.sources.client import Verdicts
from music_assets.sources.feed import TopicTruth, Truth
from streaming.ledger import Totals

LISTENS, SONGS = "events_listens", "catalog_songs"

TRUTH = Truth(
    posted=12,
    rejected={"rating": 2},
    topics={
        LISTENS: TopicTruth(
            received=14, stored=8, duplicate=3, dead_lettered={"wrong_type": 2, "not_utf8": 1}, event_id_conflicts=1
        )
    },
    catalogue={SONGS: 2},
    trend_item="track:t",
)
BEFORE = Snapshot(
    totals={LISTENS: Totals(received=100, stored=90, duplicate=6, dead_lettered=4, event_id_conflicts=2)},
    rows={LISTENS: 90},
    event_ids={LISTENS: 90},
    dead_letters={LISTENS: Counter(wrong_type=4)},
)
AFTER = Snapshot(
    totals={LISTENS: Totals(received=114, stored=98, duplicate=9, dead_lettered=7, event_id_conflicts=3)},
    rows={LISTENS: 98},
    event_ids={LISTENS: 98},
    dead_letters={LISTENS: Counter(wrong_type=6, not_utf8=1)},
    items={SONGS: frozenset({"track:t", "track:u", "track:old"})},
)
FOUND = Found(
    before=BEFORE,
    after=AFTER,
    verdicts=Verdicts(accepted=10, rejected=Counter(rating=2)),
    undisturbed=True,
    ledger_problems=[],
    catalogue={SONGS: frozenset({"track:t", "track:u"})},
)

Change = Callable[[Found], Found]


def _after(**fields: object) -> Change:
    return lambda found: replace(found, after=replace(found.after, **fields))


def _totals(**fields: int) -> Change:
    return lambda found: _after(totals={LISTENS: replace(found.after.totals[LISTENS], **fields)})(found)


def _verdicts(**fields: object) -> Change:
    return lambda found: replace(found, verdicts=replace(found.verdicts, **fields))


def test_what_equals_its_truth_breaks_nothing() -> None:
    assert not any(compare(TRUTH, FOUND).values())
    assert found_json(TRUTH, FOUND, "track:t") == planted_json(TRUTH)


@pytest.mark.parametrize(
    ("promise", "change"),
    [
        ("ledger_balances", lambda found: replace(found, ledger_problems=["a gap"])),
        ("rejections_equal_truth", _verdicts(rejected=Counter(rating=1))),
        ("rejections_equal_truth", _verdicts(rejected=Counter(user_id=2))),
        ("rejections_equal_truth", _verdicts(accepted=9)),
        ("nothing_lost", _after(rows={LISTENS: 97}, event_ids={LISTENS: 97})),
        ("nothing_lost", _after(rows={LISTENS: 99}, event_ids={LISTENS: 99})),
        ("nothing_lost", _totals(received=113)),
        ("nothing_lost", _after(items={SONGS: frozenset({"track:t"})})),
        ("nothing_twice", _after(event_ids={LISTENS: 97})),
        ("nothing_twice", _totals(duplicate=8)),
        ("nothing_twice", _totals(event_id_conflicts=2)),
        ("dead_letters_complete", _after(dead_letters={LISTENS: Counter(wrong_type=6)})),
        ("dead_letters_complete", _after(dead_letters={LISTENS: Counter(wrong_type=6, bad_format=1)})),
        ("dead_letters_complete", _totals(dead_lettered=8)),
    ],
)
@pytest.mark.parametrize("undisturbed", [True, False])
def test_a_planted_difference_breaks_its_promise(promise: str, change: Change, undisturbed: bool) -> None:
    broken = compare(TRUTH, change(replace(FOUND, undisturbed=undisturbed)))
    assert broken[promise], f"{promise} did not notice"


@pytest.mark.parametrize(
    ("promise", "change"),
    [
        ("nothing_lost", _totals(received=115)),
        ("nothing_twice", _totals(duplicate=10)),
        ("dead_letters_complete", _after(dead_letters={LISTENS: Counter(wrong_type=7, not_utf8=1)})),
    ],
)
def test_more_than_planted_is_forgiven_only_when_answers_were_lost(promise: str, change: Change) -> None:
    assert compare(TRUTH, change(FOUND))[promise]
    disturbed = replace(change(FOUND), undisturbed=False)
    grown = _totals(dead_lettered=8)(disturbed) if promise == "dead_letters_complete" else disturbed
    assert not compare(TRUTH, grown)[promise]


def test_what_the_lake_held_already_becomes_duplicates() -> None:
    again = TRUTH.given({LISTENS: 8}).topics[LISTENS]
    assert (again.received, again.stored, again.duplicate) == (14, 0, 11)
