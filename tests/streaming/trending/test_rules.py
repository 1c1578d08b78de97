"""The rules of the charts on events whose right order is known, and on random ones against plain Python."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.transforms import charts
from streaming.trending import TOP, WINDOWS, last_tick
from tests.fixtures import trending_page
from tests.streaming.trending.worlds import NOW, Event, World, chart, expected

if TYPE_CHECKING:
    from streaming.trending import Window

HOUR, DAY = WINDOWS["1h"], WINDOWS["24h"]
FRESH = timedelta(0)
MINUTE = timedelta(minutes=1)


def events(window: Window) -> st.SearchStrategy[list[Event]]:
    """Few listeners and items, so that they meet; ages that tie, at the window's edges, to come and long past."""
    edges = [FRESH, window.half_life, window.length, window.length - timedelta.resolution, -3 * MINUTE, 40 * DAY.length]
    one = st.builds(
        Event,
        user=st.sampled_from("abcd"),
        kind=st.sampled_from(["view", "click", "listen", "rating"]),
        item=st.sampled_from(["track:1", "track:2", "track:3", "album:1", "album:2", "artist:1", "artist:9"]),
        age=st.sampled_from(edges) | st.timedeltas(min_value=-5 * MINUTE, max_value=window.length * 1.2),
    )
    flood = st.builds(
        lambda event, copies, apart: [replace(event, age=event.age + n * apart) for n in range(copies)],
        one,
        st.sampled_from([59, 60, 61, 130, 650]),
        st.sampled_from([FRESH, timedelta(seconds=0.9), window.length / 640]),
    )
    parts = st.lists(st.lists(one, max_size=12) | flood, max_size=5)
    return parts.map(lambda lists: [event for each in lists for event in each])


def worlds(window: Window) -> st.SearchStrategy[World]:
    """The events with a catalogue that knows some items, not all, and calls some artists strange names."""
    artists = st.sampled_from([None, "artist:1", "artist:2", "track:1", "nobody"])
    albums = st.sampled_from([None, "album:1", "album:3", "artist:2"])
    songs = st.dictionaries(st.sampled_from(["track:1", "track:2", "album:1"]), st.tuples(artists, albums))
    return st.builds(
        World,
        events=events(window).map(tuple),
        songs=songs.map(lambda found: {item: of for item, of in found.items() if item.startswith("track:")}),
        albums=st.dictionaries(st.sampled_from(["album:1", "album:3"]), artists),
    )


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_chart_is_what_the_rules_say(window: Window, data: st.DataObject) -> None:
    world = data.draw(worlds(window))
    assert chart(world, window) == expected(world, window)


def test_shares_and_slices_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    people = [Event(f"p{n % 40}", "listen", f"track:{n % 13}", n * timedelta(seconds=7)) for n in range(500)]
    world = World(tuple(people), songs={f"track:{n}": (f"artist:{n % 3}", None) for n in range(9)})
    whole = chart(world, HOUR)
    monkeypatch.setattr(charts, "_SHARE_ROWS", 37)
    monkeypatch.setattr(charts, "_SLICE_ROWS", 20)
    assert chart(world, HOUR) == whole == expected(world, HOUR)
    flood = World((*people, *[Event("bot", "listen", "track:bot", FRESH)] * 2000))
    assert chart(flood, HOUR) == expected(flood, HOUR)


def test_weights_recency_and_the_window() -> None:
    found = chart(
        World((
            Event("a", "listen", "track:1"), Event("a", "click", "track:2"), Event("a", "view", "track:3"),
            Event("a", "listen", "track:4", HOUR.half_life), Event("a", "listen", "track:5", HOUR.length),
            Event("a", "rating", "track:6"),
        )),
        HOUR,
    )  # fmt: skip
    assert {item: row["score"] for item, row in found.items()} == {
        "track:1": 3.0, "track:2": 2.0, "track:4": 1.5, "track:3": 1.0,
    }  # fmt: skip
    assert [found[f"track:{n}"]["rank"] for n in (1, 2, 4, 3)] == [1, 2, 3, 4]


def test_an_event_counts_from_its_own_time_on_and_is_never_worth_more_than_a_fresh_one() -> None:
    ahead = World((Event("a", "listen", "track:1", -3 * MINUTE),))
    assert chart(ahead, HOUR) == {}
    assert chart(ahead, HOUR, as_of=NOW + 3 * MINUTE)["track:1"]["score"] == 3.0


def test_ties_go_by_item_id_and_ranks_end_at_the_top() -> None:
    world = World(tuple(Event("a", "view", f"track:{n:03d}", n // 60 * MINUTE) for n in reversed(range(150))))
    found = chart(world, HOUR)
    assert [item for item, row in found.items() if row["rank"] <= 60] == [f"track:{n:03d}" for n in range(60)]
    assert [row["rank"] for row in found.values()] == [*range(1, TOP + 1)]


def test_owners_of_items_have_charts_of_their_own() -> None:
    found = chart(
        World(
            (Event("a", "listen", "track:1"), Event("b", "view", "track:2"), Event("b", "view", "artist:y"),
             Event("b", "view", "album:n")),
            songs={"track:1": ("artist:x", "album:m"), "track:2": ("artist:y", None), "track:3": ("artist:z", None)},
            albums={"album:n": "artist:y"},
        ),
        HOUR,
    )  # fmt: skip
    assert {item: (row["rank"], row["score"], row["events"]) for item, row in found.items()} == {
        "track:1": (1, 3.0, 1), "track:2": (2, 1.0, 1), "artist:x": (1, 3.0, 1), "artist:y": (2, 3.0, 3),
        "album:m": (1, 3.0, 1), "album:n": (2, 1.0, 1),
    }  # fmt: skip


def crowd(tracks: int = 15, scale: int = 5) -> list[Event]:
    """An evening: the first track has the most listeners, each next one some fewer."""
    return [
        Event(f"p{track}-{person}", "listen", f"track:{track:02d}", person % 10 * MINUTE)
        for track in range(tracks)
        for person in range((tracks - track) * scale)
    ]


def top_ten(people: list[Event], window: Window, kind: str = "track") -> list[tuple[str, float]]:
    found = chart(World(tuple(people)), window)
    return [(item, row["score"]) for item, row in found.items() if row["item_kind"] == kind and row["rank"] <= 10]


BOTS = {
    "hammers one track all the time": lambda n, length: Event("bot", "listen", "track:bot", length * n / 5000),
    "hammers one track within a minute": lambda n, length: Event("bot", "listen", "track:bot", n * MINUTE / 6000),
    "spreads over many tracks": lambda n, length: Event("bot", "listen", f"track:{n}", length * n / 5000),
    "lifts the last to the first": lambda n, length: Event("bot", "listen", "track:14", length * n / 5000),
    "looks busy": lambda n, length: Event(
        "bot", ("view", "click", "listen")[n % 3], f"track:{n % 9:02d}", n * MINUTE / 90
    ),
}  # fmt: skip


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("bot", BOTS.values(), ids=BOTS)
def test_a_listener_at_an_inhuman_rate_counts_nothing(bot, window: Window) -> None:
    people = crowd()
    flood = [bot(n, window.length) for n in range(5000)]
    assert chart(World((*people, *flood)), window) == chart(World(tuple(people)), window)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_the_limits_are_the_last_numbers_that_count(window: Window) -> None:
    step = window.length / (window.window_limit + 2)
    steady = [Event("a", "view", "track:1", n * step) for n in range(window.window_limit + 1)]
    burst = [Event("a", "view", "track:1", n * MINUTE / 100) for n in range(1, window.minute_limit + 2)]
    for one_too_many in (steady, burst):
        assert chart(World(tuple(one_too_many)), window) == {}
        assert chart(World(tuple(one_too_many[1:])), window)["track:1"]["events"] == len(one_too_many) - 1


def test_each_kind_of_item_has_its_own_account() -> None:
    tracks = [f"track:{n}" for n in range(10)]
    listens = tuple(Event("a", "listen", track) for track in tracks)
    found = chart(World(listens, songs={track: (f"artist:{track}", None) for track in tracks}), HOUR)
    assert {row["score"] for row in found.values()} == {3.0}
    more = chart(World((*listens, *(Event("a", "listen", f"track:{n}") for n in range(10, 20)))), HOUR)
    assert {row["score"] for row in more.values()} == {1.5}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("tracks", [1, 10, 600])
def test_a_bot_as_slow_as_a_person_moves_no_more_than_a_person(window: Window, tracks: int) -> None:
    people, count = crowd(), min(window.window_limit, 600)
    slow = [Event("bot", "listen", f"track:{n % tracks}", n * window.length / count / 4) for n in range(count)]
    before, after = dict(top_ten(people, window)), dict(top_ten([*people, *slow], window))
    assert list(before) == list(after)
    everything = chart(World(tuple(slow)), window)
    assert max(row["score"] for row in everything.values()) <= window.item_cap
    assert sum(row["score"] for row in everything.values()) <= window.listener_cap


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_a_crowd_moves_the_top(window: Window) -> None:
    people = crowd()
    fans = [Event(f"fan{n}", "listen", "track:new", n % 5 * MINUTE) for n in range(100)]
    assert top_ten([*people, *fans], window)[0][0] == "track:new"
    assert "track:new" not in dict(top_ten(people, window))


def test_the_page_shows_the_rules() -> None:
    page = trending_page.FILE.read_text(encoding="utf-8")
    assert "| listen | 3 |" in page
    assert page == trending_page.render(page), "run `python -m tests.fixtures.trending_page`"


def test_ticks_are_the_same_for_everybody() -> None:
    five = timedelta(minutes=5)
    assert last_tick(NOW, five) == NOW
    assert last_tick(NOW - timedelta.resolution, five) == NOW - five
    assert last_tick(NOW + timedelta(seconds=299), five) == NOW
