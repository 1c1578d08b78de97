"""The rules of the charts: what an event is worth, for how long, and how much one listener can move.

`WEIGHTS` and `WINDOWS` are the only place that says so; `docs/trending.md` shows them and a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from streaming.tables import TRENDING_1H, TRENDING_24H, Table

if TYPE_CHECKING:
    from streaming.settings import Settings

WEIGHTS: Final[dict[str, float]] = {"view": 1.0, "click": 2.0, "listen": 3.0}
"""Points of an event that has just happened: the more it costs a listener, the more it says."""

TOP: Final = 100
"""Ranks that are kept of each kind of item: as many as the API shows."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Window:
    """A chart's window and its limits.

    A listener beyond `minute_limit` or `window_limit` is no person and counts nothing; below them a listener moves
    a chart by `listener_cap` points at most, whatever it does, and one item by `item_cap`.

    Attributes:
        name: as the API and the command line say it.
        length: an event counts until it is this old, and from its own time on.
        half_life: after this an event is worth half.
        item_cap: points that one listener adds to one item at most.
        listener_cap: points that one listener adds to all items of one kind at most; what is more is scaled down.
        minute_limit: events of one listener within one minute of the clock, of any item.
        window_limit: events of one listener within the window, of any item.
        table: where the chart lies.
    """

    name: str
    length: timedelta
    half_life: timedelta
    item_cap: float
    listener_cap: float
    minute_limit: int
    window_limit: int
    table: Table

    def interval(self, settings: Settings) -> timedelta:
        """Return the time between two ticks."""
        seconds = {"1h": settings.trending_interval_seconds, "24h": settings.trending_24h_interval_seconds}
        return timedelta(seconds=seconds[self.name])


WINDOWS: Final[dict[str, Window]] = {
    window.name: window
    for window in (
        Window(
            name="1h", length=timedelta(hours=1), half_life=timedelta(minutes=15), table=TRENDING_1H,
            item_cap=6, listener_cap=30, minute_limit=60, window_limit=600,
        ),
        Window(
            name="24h", length=timedelta(hours=24), half_life=timedelta(hours=6), table=TRENDING_24H,
            item_cap=9, listener_cap=90, minute_limit=60, window_limit=3000,
        ),
    )
}  # fmt: skip
"""The charts by name."""


def last_tick(moment: datetime, interval: timedelta) -> datetime:
    """Return the last tick at or before a moment: ticks are multiples of the interval since 1970, so all agree."""
    return moment - (moment - _EPOCH) % interval
