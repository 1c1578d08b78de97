"""A listener's value is a function of the set of events, whatever order they came in, and it is bounded."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_assets.sources.items import named
from streaming.errors import IntegrityError
from streaming.events import EventType, ItemKind
from streaming.features import (
    KINDS,
    LONG_ITEMS,
    RECENT_BYTES,
    RECENT_ITEMS,
    SHORT_ID,
    Features,
    Seen,
    decode,
    digest,
    merge,
    microseconds,
    revision,
    seen,
)

NOW = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
NOW_US = microseconds(NOW)
HOUR = timedelta(hours=1)


def one(number: int, *, ago: timedelta = timedelta(), kind: EventType = EventType.LISTEN, item: str = "") -> Seen:
    return seen(kind, item or f"track:{number}", NOW - ago, f"event-{number}")


def features(*events: Seen, value: bytes | None = None, now: datetime = NOW) -> Features:
    return decode(merge(value, events, now=microseconds(now)), now=now)


def test_a_listener_nobody_knows_has_nothing() -> None:
    nothing = decode(None, now=NOW)
    assert nothing.since is None
    assert nothing.last_seen is None
    assert nothing.total == nothing.last_day == dict.fromkeys(EventType, 0)
    assert nothing.recent == []


def test_every_event_type_has_a_place() -> None:
    assert set(KINDS) == set(EventType)
    assert [seen(kind, "track:1", NOW, "x").kind for kind in KINDS] == [0, 1, 2, 3]


def test_what_a_value_says() -> None:
    found = features(
        one(1, ago=3 * HOUR), one(2, ago=HOUR, kind=EventType.VIEW), one(3, ago=30 * HOUR), one(1, ago=2 * HOUR)
    )
    assert [(item.item_id, item.event_type) for item in found.recent] == [
        ("track:2", EventType.VIEW), ("track:1", EventType.LISTEN), ("track:3", EventType.LISTEN),
    ]  # fmt: skip
    assert found.recent[1].at == microseconds(NOW - 2 * HOUR), "an item stands at its latest event"
    assert found.total == {EventType.VIEW: 1, EventType.CLICK: 0, EventType.RATING: 0, EventType.LISTEN: 3}
    assert found.last_day == {EventType.VIEW: 1, EventType.CLICK: 0, EventType.RATING: 0, EventType.LISTEN: 2}
    assert found.last_seen == NOW - HOUR
    assert found.since == NOW


def test_the_last_day_is_the_current_hour_of_the_clock_and_the_23_before_it() -> None:
    hour_begins = NOW.replace(minute=0)
    ages = (NOW - hour_begins + 23 * HOUR, NOW - hour_begins + 23 * HOUR + timedelta(microseconds=1))
    assert [features(one(1, ago=age)).last_day[EventType.LISTEN] for age in ages] == [1, 0]
    value = merge(None, [one(1)], now=NOW_US)
    assert decode(value, now=NOW + 23 * HOUR).last_day[EventType.LISTEN] == 1
    assert decode(value, now=NOW + 24 * HOUR).last_day[EventType.LISTEN] == 0
    assert decode(value, now=NOW + 24 * HOUR).total[EventType.LISTEN] == 1


def test_an_event_older_than_the_recent_items_changes_the_counts_only() -> None:
    value = merge(None, [one(number) for number in range(RECENT_ITEMS)], now=NOW_US)
    before, after = decode(value, now=NOW), features(one(999, ago=50 * HOUR), value=value)
    assert after.recent == before.recent
    assert after.last_day == before.last_day
    assert after.last_seen == before.last_seen
    assert after.total[EventType.LISTEN] == RECENT_ITEMS + 1


EVENTS = st.lists(
    st.builds(
        lambda kind, item, minutes: (KINDS[kind], f"track:{item}", NOW - timedelta(minutes=minutes)),
        st.integers(0, 3), st.integers(0, 80), st.integers(-5, 4 * 24 * 60),
    ),
    max_size=150,
)  # fmt: skip


@given(EVENTS, st.data())
def test_any_order_and_any_batches_give_what_a_plain_count_gives(
    sent: list[tuple[EventType, str, datetime]], data: Any
) -> None:
    events = [seen(kind, item, at, str(number)) for number, (kind, item, at) in enumerate(sent)]
    shuffled = data.draw(st.permutations(events))
    value: bytes | None = None
    while shuffled:
        size = data.draw(st.integers(1, len(shuffled)))
        value = merge(value, shuffled[:size], now=NOW_US)
        shuffled = shuffled[size:]
    found = decode(value, now=NOW)
    assert found.total == {kind: sum(each == kind for each, _, _ in sent) for kind in KINDS}
    first = NOW.replace(minute=0) - 23 * HOUR
    assert found.last_day == {kind: sum(each == kind and at >= first for each, _, at in sent) for kind in KINDS}
    latest: dict[tuple[EventType, str], datetime] = {}
    for kind, item, at in sent:
        latest[kind, item] = max(at, latest.get((kind, item), at))
    newest = Counter({pair: microseconds(at) for pair, at in latest.items()}).most_common(RECENT_ITEMS)
    assert [item.at for item in found.recent] == [at for _, at in newest]
    assert all(microseconds(latest[item.event_type, item.item_id]) == item.at for item in found.recent)
    assert found.last_seen == (max(at for _, _, at in sent) if sent else None)


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 5000)), min_size=1, max_size=120), st.randoms())
def test_of_long_ids_the_newest_are_kept_in_any_order(sizes: list[tuple[int, int]], random: Any) -> None:
    events = [
        Seen(3, f"{number}" + "\U0001f3b5" * size, NOW_US - age * 1_000_000, number + 1)
        for number, (size, age) in enumerate(sizes)
    ]
    value = merge(None, events, now=NOW_US)
    assert len(value) <= RECENT_BYTES + 1024
    random.shuffle(events)
    one_by_one: bytes | None = None
    for event in events:
        one_by_one = merge(one_by_one, [event], now=NOW_US)
    assert one_by_one == value
    newest = sorted(events, key=lambda event: (event.at, event.item_id), reverse=True)
    long = [event for event in newest if len(event.item_id.encode()) > SHORT_ID]
    left_out = {event.item_id for event in long[LONG_ITEMS:]}
    expected = [event.item_id for event in newest if event.item_id not in left_out][:RECENT_ITEMS]
    assert [item.item_id for item in decode(value, now=NOW).recent] == expected


def test_fifty_short_ids_and_the_longest_that_an_event_may_have_fit_the_bound() -> None:
    short = [Seen(3, f"{number:0{SHORT_ID}d}", NOW_US + number, number + 1) for number in range(200)]
    long = [Seen(2, f"{number:03d}" + "x" * 797, NOW_US + number, number + 500) for number in range(200)]
    value = merge(None, [*short, *long], now=NOW_US)
    assert RECENT_BYTES - 1024 < len(value) <= RECENT_BYTES + 1024
    assert len(decode(value, now=NOW).recent) == RECENT_ITEMS


def test_an_id_made_of_names_counts_as_short() -> None:
    ids = [named(kind, "Ä wörd " * 40, "ŷ" * 400) for kind in ItemKind]
    assert max(len(item.encode()) for item in ids) <= SHORT_ID


def test_every_change_has_another_revision() -> None:
    value: bytes | None = None
    revisions = {revision(value)}
    for number in range(300):
        value = merge(value, [one(number, kind=KINDS[number % 4])], now=NOW_US)
        revisions.add(revision(value))
    assert len(revisions) == 301
    largest = msgspec.msgpack.encode([2**63, [2**63] * len(KINDS), 0, [], []])
    assert len(largest) - len(revision(largest)) == 3, "the totals may not fit into it"


def test_counting_began_with_the_first_event_taken_in() -> None:
    earlier = microseconds(NOW - 9 * HOUR)
    value = merge(merge(None, [one(1)], now=NOW_US, since=earlier), [one(2)], now=NOW_US)
    assert decode(value, now=NOW).since == NOW - 9 * HOUR


@pytest.mark.parametrize("value", [b"\xc1", b"{}", b"\x95", msgspec.msgpack.encode([1, [3], 2, "x", []])])
def test_a_value_that_cannot_be_read_is_an_error_and_not_an_empty_listener(value: bytes) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        decode(value, now=NOW)
    with pytest.raises(IntegrityError, match="cannot be read"):
        merge(value, [one(1)], now=NOW_US)


def test_a_value_from_before_an_event_type_was_added_can_still_be_read() -> None:
    hour = NOW_US // 3_600_000_000
    value = msgspec.msgpack.encode([NOW_US, [4, 2], NOW_US, [[hour, [1, 2]]], []])
    assert decode(value, now=NOW).last_day == {
        EventType.VIEW: 1, EventType.CLICK: 2, EventType.RATING: 0, EventType.LISTEN: 0,
    }  # fmt: skip
    assert features(one(1), value=value).total[EventType.LISTEN] == 1


def test_one_id_is_one_event_per_type() -> None:
    assert digest(0, "a") == digest(0, "a")
    assert len({digest(kind, f"{number}") for kind in range(4) for number in range(5_000)}) == 20_000
    assert -(2**63) <= digest(3, "b") < 2**63, "a set of numbers of this size takes Redis eight bytes each"
