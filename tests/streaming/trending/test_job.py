"""Ticks, ranks before, history and backfill, on a real lake."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from streaming.errors import ConfigurationError
from streaming.jobs.backfill import backfill
from streaming.jobs.trending import Chart, TrendingStream
from streaming.jobs.trending_python import ArrowCharts
from streaming.lake import Lake
from streaming.tables import TRENDING_24H, TRENDING_HISTORY
from streaming.trending import WINDOWS, last_tick
from tests.streaming.trending.worlds import NOW, Event, World, store

if TYPE_CHECKING:
    from streaming.settings import Settings
    from tests.conftest import MakeSettings

HOUR = WINDOWS["1h"]
TICK = timedelta(minutes=5)


@pytest.fixture
def lake_settings(make_settings: MakeSettings) -> Settings:
    settings = make_settings()
    store(settings.storage.folder, World())
    return settings


def chart(settings: Settings, window: str = "1h") -> Chart:
    return Chart(settings, ArrowCharts(settings.storage), WINDOWS[window])


def listens(item: str, people: int, at: datetime, *, prefix: str = "p") -> World:
    return World(tuple(Event(f"{prefix}{n}", "listen", item, NOW - at) for n in range(people)))


def current(settings: Settings, window: str = "1h") -> dict[str, dict[str, Any]]:
    rows: list[dict[str, Any]] = Lake(settings.storage).read(WINDOWS[window].table).to_pylist()
    return {row["item_id"]: row for row in rows}


def history(settings: Settings, window: str = "1h") -> dict[datetime, dict[str, tuple[int, int | None]]]:
    """Rank and rank before, by tick and item."""
    found: dict[datetime, dict[str, tuple[int, int | None]]] = {}
    for row in Lake(settings.storage).read(TRENDING_HISTORY).to_pylist():
        if row["window"] == window:
            tick = found.setdefault(row["as_of"], {})
            assert row["item_id"] not in tick, "a tick has an item twice"
            tick[row["item_id"]] = (row["rank"], row["previous_rank"])
    return found


def test_a_late_event_counts_at_the_next_tick_and_leaves_what_was_published(lake_settings: Settings) -> None:
    store(lake_settings.storage.folder, listens("track:a", 2, NOW - TICK))
    trending = chart(lake_settings)
    trending.advance(NOW)
    store(lake_settings.storage.folder, listens("track:late", 3, NOW - 2 * TICK))
    trending.advance(NOW + TICK)
    assert {item: (row["rank"], row["previous_rank"]) for item, row in current(lake_settings).items()} == {
        "track:late": (1, None),
        "track:a": (2, 1),
    }
    assert history(lake_settings)[NOW] == {"track:a": (1, 1)}


def test_the_rank_before_is_of_the_tick_before_however_often_the_chart_is_asked_for(lake_settings: Settings) -> None:
    store(lake_settings.storage.folder, listens("track:a", 2, NOW - TICK))
    trending = chart(lake_settings)
    trending.advance(NOW)
    store(lake_settings.storage.folder, listens("track:b", 5, NOW))
    for seconds in (20, 40):
        written = trending.advance(NOW + timedelta(seconds=seconds))
        assert written == {HOUR.table.id: 2, TRENDING_HISTORY.id: 0}
        assert current(lake_settings)["track:b"]["previous_rank"] is None
        assert current(lake_settings)["track:a"]["previous_rank"] == 1
        assert {row["as_of"] for row in current(lake_settings).values()} == {NOW + timedelta(seconds=seconds)}
    assert list(history(lake_settings)) == [NOW]
    trending.advance(NOW + TICK)
    assert history(lake_settings)[NOW + TICK] == {"track:b": (1, None), "track:a": (2, 1)}


def test_after_an_outage_the_ranks_before_are_those_that_would_have_been(lake_settings: Settings) -> None:
    store(lake_settings.storage.folder, listens("track:a", 2, NOW - 3 * TICK))
    chart(lake_settings).advance(NOW - 2 * TICK)
    store(lake_settings.storage.folder, listens("track:b", 4, NOW - TICK - timedelta(seconds=1)))
    chart(lake_settings).advance(NOW)
    assert history(lake_settings) == {
        NOW - 2 * TICK: {"track:a": (1, 1)},
        NOW: {"track:b": (1, 1), "track:a": (2, 2)},
    }


def test_a_kill_between_the_two_commits_is_made_up_for(lake_settings: Settings) -> None:
    store(lake_settings.storage.folder, listens("track:a", 2, NOW))
    killed = chart(lake_settings)
    killed.publish([NOW], killed.compute(NOW))
    store(lake_settings.storage.folder, listens("track:b", 4, NOW))
    restarted = chart(lake_settings)
    assert restarted.due(NOW)
    restarted.advance(NOW)
    assert list(current(lake_settings)) == ["track:a"], "the chart is the one that was published"
    assert history(lake_settings) == {NOW: {"track:a": (1, None)}}


def test_a_tick_is_due_once_and_again_after_a_clock_that_ran_ahead(lake_settings: Settings) -> None:
    store(lake_settings.storage.folder, listens("track:a", 2, NOW))
    trending = chart(lake_settings)
    assert trending.due(NOW)
    trending.advance(NOW + timedelta(seconds=10))
    for again in (trending, chart(lake_settings)):
        assert not again.due(NOW + TICK - timedelta.resolution)
        assert again.due(NOW + TICK)
        assert again.due(NOW - TICK)


def test_each_window_has_its_ticks(make_settings: MakeSettings) -> None:
    settings = make_settings(trending_interval_seconds=1, trending_24h_interval_seconds=86_400)
    now = datetime.now(UTC)
    store(settings.storage.folder, listens("track:a", 2, now - timedelta(hours=3)))
    store(settings.storage.folder, listens("track:b", 1, now - timedelta(minutes=1)))
    job = TrendingStream(settings, ArrowCharts(settings.storage))
    job.run()
    assert list(current(settings)) == ["track:b"]
    assert list(current(settings, "24h")) == ["track:a", "track:b"]
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    written: dict[str, int] = {}
    while not written and datetime.now(UTC) < deadline:
        written = job.run_due()
    assert set(written) == {HOUR.table.id, TRENDING_HISTORY.id}
    (as_of,) = {row["as_of"] for row in current(settings).values()}
    assert as_of == last_tick(as_of, timedelta(seconds=1))
    assert TRENDING_24H.id not in written


def test_a_chart_becomes_empty_when_nothing_is_played_any_more(lake_settings: Settings) -> None:
    store(lake_settings.storage.folder, listens("track:a", 2, NOW))
    trending = chart(lake_settings)
    trending.advance(NOW)
    trending.advance(NOW + timedelta(hours=2))
    assert current(lake_settings) == {}
    assert list(history(lake_settings)) == [NOW]


NEWEST = last_tick(datetime.now(UTC), TICK)


def recent(ticks: int) -> datetime:
    """The tick that is so many before one that was the newest when the tests began."""
    return NEWEST - ticks * TICK


def test_a_backfill_replaces_the_ticks_since_a_moment_and_no_other(lake_settings: Settings) -> None:
    root = lake_settings.storage.folder
    begin = recent(6)
    store(root, listens("track:a", 2, begin - timedelta(seconds=1)))
    published = chart(lake_settings)
    for ticks in (6, 5, 2):
        published.advance(recent(ticks))
    chart(lake_settings, "24h").advance(last_tick(datetime.now(UTC), timedelta(minutes=15)))
    day, before = history(lake_settings, "24h"), history(lake_settings)
    store(root, listens("track:late", 3, recent(4)))
    told: list[tuple[int, int]] = []
    since = recent(5) - timedelta(seconds=9)
    done = backfill(
        lake_settings, ArrowCharts(lake_settings.storage), HOUR, since=since, progress=lambda *each: told.append(each)
    )
    assert done >= 6
    assert told[-1] == (done, done)
    after = history(lake_settings)
    assert after[recent(6)] == before[recent(6)]
    assert after[recent(5)] == {"track:a": (1, 1)}
    assert after[recent(4)] == {"track:late": (1, None), "track:a": (2, 1)}
    assert after[recent(2)] == {"track:late": (1, 1), "track:a": (2, 2)}
    assert history(lake_settings, "24h") == day
    again = backfill(lake_settings, ArrowCharts(lake_settings.storage), HOUR, since=recent(5))
    assert again >= 6
    assert {tick: rows for tick, rows in history(lake_settings).items() if tick in after} == after


def test_a_backfill_of_what_is_missing_leaves_what_is_there(lake_settings: Settings) -> None:
    root = lake_settings.storage.folder
    store(root, listens("track:a", 2, recent(4)))
    chart(lake_settings).advance(recent(2))
    store(root, listens("track:late", 3, recent(4)))
    before = history(lake_settings)
    backfill(lake_settings, ArrowCharts(lake_settings.storage), HOUR, since=recent(400), missing=True)
    after = history(lake_settings)
    assert after[recent(2)] == before[recent(2)] == {"track:a": (1, 1)}
    assert min(after) == recent(4), "no chart is made of before the first event"
    assert after[recent(3)] == {"track:late": (1, 1), "track:a": (2, 2)}


def test_two_writers_of_the_same_ticks_leave_one_chart_of_each(lake_settings: Settings) -> None:
    root = lake_settings.storage.folder
    store(root, listens("track:a", 2, recent(4)))
    start = Barrier(2)

    def write(item: str) -> None:
        trending = chart(lake_settings)
        rows = trending.compute(recent(2)).set_column(0, "item_id", pa.array([item]))
        start.wait()
        for _ in range(40):
            trending.publish([recent(2), recent(1)], rows)

    with ThreadPoolExecutor(2) as pool:
        for writer in [pool.submit(write, item) for item in ("track:mine", "track:yours")]:
            writer.result()
    (tick,) = history(lake_settings).items()
    assert tick in ((recent(2), {"track:mine": (1, 1)}), (recent(2), {"track:yours": (1, 1)}))


def test_the_engine_without_a_jvm_needs_no_pyspark() -> None:
    program = "import sys, streaming.jobs.backfill, streaming.jobs.trending_python; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_a_backfill_needs_a_past_moment_with_a_zone(lake_settings: Settings) -> None:
    engine = ArrowCharts(lake_settings.storage)
    for since in (datetime.now(UTC) + timedelta(minutes=1), datetime(2026, 1, 1)):  # noqa: DTZ001 - the mistake
        with pytest.raises(ConfigurationError, match="since must be a past moment with a zone"):
            backfill(lake_settings, engine, HOUR, since=since)
    assert backfill(lake_settings, engine, HOUR, since=datetime(1970, 1, 1, tzinfo=UTC)) == 0
