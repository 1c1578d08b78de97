"""Computes charts of the past again: what they would have been had every event come in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from streaming.errors import ConfigurationError
from streaming.jobs.trending import COUNTED, Chart
from streaming.lake import Lake
from streaming.tables import TRENDING_HISTORY
from streaming.trending import last_tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streaming.jobs.trending import Engine
    from streaming.settings import Settings
    from streaming.trending import Window

_TICKS_PER_COMMIT: Final = 96


def backfill(
    settings: Settings,
    engine: Engine,
    window: Window,
    *,
    since: datetime,
    missing: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:
    """Replace the history's charts of every tick since a moment, up to now; return how many there were.

    It may run beside the stream service and be repeated after a kill; charts of before the first event stay as they
    are.

    Args:
        settings: where the lake is and when its ticks are.
        engine: computes the charts.
        window: which chart.
        since: the first tick at or after it is the first.
        missing: leave the ticks alone that the history has a chart of.
        progress: told after each commit how many ticks are done, and of how many.

    Raises:
        ConfigurationError: `since` has no zone or lies in the future.
        UnavailableError: the lake's tables are not there.
    """
    now = datetime.now(UTC)
    if since.tzinfo is None or since > now:
        raise ConfigurationError(f"since must be a past moment with a zone, such as {now:%Y-%m-%dT%H:%M}Z")
    lake = Lake(settings.storage)
    chart = Chart(settings, engine, window)
    events = [moment for table in COUNTED if (moment := lake.earliest(table, "timestamp"))]
    ticks = list(_ticks(max(since, min(events)), now, chart.interval)) if events else []
    if missing and ticks:
        held = _held(lake, window, ticks)
        ticks = [tick for tick in ticks if tick not in held]
    for start in range(0, len(ticks), _TICKS_PER_COMMIT):
        part = ticks[start : start + _TICKS_PER_COMMIT]
        chart.publish(part, pa.concat_tables([chart.compute(tick) for tick in part]))
        progress(start + len(part), len(ticks))
    return len(ticks)


def _ticks(since: datetime, now: datetime, interval: timedelta) -> Iterator[datetime]:
    tick = last_tick(since, interval)
    if tick < since:
        tick += interval
    while tick <= now:
        yield tick
        tick += interval


def _held(lake: Lake, window: Window, ticks: list[datetime]) -> set[datetime]:
    """Those of the ticks of which the history has a chart."""
    held: set[datetime] = set()
    after = ticks[0] - timedelta.resolution
    for rows in lake.between(TRENDING_HISTORY, "as_of", after=after, until=ticks[-1], columns=("window", "as_of")):
        held.update(rows["as_of"].filter(pc.equal(rows["window"], window.name)).unique().to_pylist())
    return held
