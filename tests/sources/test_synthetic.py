"""The synthetic world is repeatable, and its truth is what its messages say."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from music_assets.sources import synthetic
from music_assets.sources.feed import catalogue_messages
from streaming.events import check_time
from streaming.parse import Reason, Rejection, parse
from streaming.topics import event_topics, topics

ANCHOR = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
SIZE = synthetic.Size(listeners=80, artists=12, tracks=120, events=4000)


@pytest.fixture(scope="module")
def world() -> synthetic.World:
    return synthetic.build(7, ANCHOR, SIZE)


def test_the_same_seed_and_anchor_give_the_same_world(world: synthetic.World) -> None:
    again = synthetic.build(7, ANCHOR, SIZE)
    assert list(again.feed.events()) == list(world.feed.events())
    assert again.planted == world.planted
    assert again.feed.truth == world.feed.truth


def test_a_later_run_sends_the_same_catalogue_and_trend_but_new_people(world: synthetic.World) -> None:
    later = synthetic.build(7, ANCHOR + timedelta(minutes=1), SIZE)
    assert list(catalogue_messages(later.feed.catalogue)) == list(catalogue_messages(world.feed.catalogue))
    assert later.feed.truth.trend_item == world.feed.truth.trend_item
    ids = [{synthetic.identity(e) for e in w.feed.events() if "timestamp" in e} for w in (_good(world), _good(later))]
    assert not ids[0] & ids[1]
    assert not _people(world) & _people(later)


def test_another_seed_is_another_catalogue(world: synthetic.World) -> None:
    other = synthetic.build(8, ANCHOR, SIZE)
    assert not {r.item_id for r in other.feed.catalogue} & {r.item_id for r in world.feed.catalogue}


def test_every_item_is_in_the_catalogue_and_names_are_unique(world: synthetic.World) -> None:
    known = {record.item_id for record in world.feed.catalogue}
    played = {e["item_id"] for place, e in enumerate(world.feed.events()) if place not in world.refused}
    assert played <= known
    for kind in ("artist", "album", "track"):
        names = [record.name for record in world.feed.catalogue if record.item_id.startswith(kind)]
        assert len(names) == len(set(names))
    assert world.feed.truth.catalogue == {"catalog_artists": 12, "catalog_albums": 36, "catalog_songs": 120}


def test_planted_copies_lie_next_to_each_other_and_requests_apart(world: synthetic.World) -> None:
    places: dict[str, list[int]] = defaultdict(list)
    for place, event in enumerate(world.feed.events()):
        if "event_id" in event:
            places[event["event_id"]].append(place)
    distances = [b - a for a, b in (found for found in places.values() if len(found) == 2)]
    assert sum(distance <= 3 for distance in distances) >= 40
    assert sum(distance >= 500 for distance in distances) >= 40


def test_events_without_id_come_twice_too(world: synthetic.World) -> None:
    nameless = Counter(
        synthetic.identity(event)
        for place, event in enumerate(world.feed.events())
        if place not in world.refused and "event_id" not in event
    )
    assert sum(count == 2 for count in nameless.values()) == 40


def test_late_events_are_weeks_old_and_come_among_the_newest(world: synthetic.World) -> None:
    posted = list(world.feed.events())
    late = [
        place
        for place, event in enumerate(posted)
        if place not in world.refused and _when(event) < ANCHOR - timedelta(days=SIZE.days + 1)
    ]
    assert len(late) >= 120
    assert min(late) > len(posted) / 2


def test_no_good_event_is_of_the_future_and_the_stream_reaches_the_anchor(world: synthetic.World) -> None:
    times = [_when(event) for place, event in enumerate(world.feed.events()) if place not in world.refused]
    assert ANCHOR - timedelta(minutes=1) < max(times) < ANCHOR
    for when in times:
        check_time(when, ANCHOR)


def test_the_trend_leads_the_last_half_hour_by_listeners_and_the_bot_by_plays_only(world: synthetic.World) -> None:
    listeners: dict[str, set[str]] = defaultdict(set)
    plays: Counter[str] = Counter()
    for place, event in enumerate(world.feed.events()):
        if place not in world.refused and ANCHOR - timedelta(minutes=30) < _when(event):
            listeners[event["item_id"]].add(event["user_id"])
            plays[event["item_id"]] += 1
    ranked = sorted(listeners, key=lambda item: -len(listeners[item]))
    assert ranked[0] == world.feed.truth.trend_item
    assert len(listeners[ranked[0]]) >= 3 * len(listeners[ranked[1]])
    assert plays.most_common(1)[0][0] == world.bot_item
    assert len(listeners[world.bot_item]) <= 3


def test_tastes_say_more_than_popularity(world: synthetic.World) -> None:
    """Most listens are of a loved style: what a model can find and popularity cannot."""
    style = {track.item_id: track.style for track in world.catalogue.tracks}
    by_person: dict[str, Counter[int]] = defaultdict(Counter)
    for place, event in enumerate(world.feed.events()):
        if place not in world.refused and event["event_type"] == "listen":
            by_person[event["user_id"]][style[event["item_id"]]] += 1
    shares = [sum(n for _, n in c.most_common(3)) / c.total() for c in by_person.values() if c.total() >= 20]
    assert sum(shares) / len(shares) > 0.8


def test_the_parser_gives_every_message_the_fate_that_was_planted(world: synthetic.World) -> None:
    """Counts every topic again, message by message, with the platform's own parser."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    owners: dict[tuple[str, str], str] = {}
    for topic, value in _messages(world):
        outcome = parse(topic, value, now=ANCHOR)
        counts[topic]["received"] += 1
        if isinstance(outcome, Rejection):
            counts[topic][outcome.reason] += 1
        elif owners.setdefault((topic, outcome["event_id"]), outcome["user_id"]) != outcome["user_id"]:
            counts[topic][Reason.EVENT_ID_OF_ANOTHER_LISTENER] += 1
        else:
            counts[topic]["good"] += 1
    for topic, truth in world.feed.truth.topics.items():
        found = counts[topic]
        assert found.pop("received") == truth.received
        stored = sum(1 for name, _ in owners if name == topic)
        assert stored == truth.stored
        assert found.pop("good") - stored == truth.duplicate
        assert found == truth.dead_lettered
        assert truth.received == truth.stored + truth.duplicate + truth.dead_letters


def test_the_parser_refuses_what_the_api_must_refuse_for_the_same_field(world: synthetic.World) -> None:
    posted = list(world.feed.events())
    assert world.feed.truth.rejected == Counter(world.refused.values())
    for place, field in world.refused.items():
        event = posted[place]
        topic = f"events_{event.get('event_type')}s" if event.get("event_type") != "skip" else "events_listens"
        outcome = parse(topic if topic in topics() else "events_listens", json.dumps(event).encode(), now=ANCHOR)
        if field == "mood":
            assert not isinstance(outcome, Rejection), (
                "on a topic unknown fields are ignored: only the API refuses them"
            )
        else:
            assert isinstance(outcome, Rejection)
            assert outcome.field == field


def test_every_topic_gets_good_and_broken_foreign_messages(world: synthetic.World) -> None:
    for topic in event_topics():
        fates = Counter(each.fate for each in world.planted if each.message.topic == topic.name)
        assert fates["stored"] >= 3
        assert fates["duplicate"] >= 2
        assert fates["dead_lettered"] >= 20


def _messages(world: synthetic.World) -> Iterator[tuple[str, bytes | None]]:
    for place, event in enumerate(world.feed.events()):
        if place not in world.refused:
            yield f"events_{event['event_type']}s", json.dumps(event).encode()
    for each in world.planted:
        yield each.message.topic, each.message.value


def _when(event: dict[str, str]) -> datetime:
    return datetime.fromisoformat(event["timestamp"])


def _good(world: synthetic.World) -> synthetic.World:
    good = tuple(event for place, event in enumerate(world.feed.events()) if place not in world.refused)
    return replace(world, feed=replace(world.feed, events=lambda: iter(good)))


def _people(world: synthetic.World) -> set[str]:
    return {event["user_id"] for place, event in enumerate(world.feed.events()) if place not in world.refused}
