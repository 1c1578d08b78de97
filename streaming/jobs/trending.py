"""`stream_trending_to_gold`: the charts, computed again from silver at each tick.

Computed again, not kept as running windows: a late event counts as soon as silver has it, and none holds a window open.
An engine computes a chart as of any moment; what follows from it, ticks, ranks before and history, is the same for all.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from streaming.events import EARLIEST
from streaming.jobs import metrics
from streaming.lake import Lake
from streaming.sinks.tables import replace, replace_ticks
from streaming.tables import TRENDING_HISTORY, silver
from streaming.topics import event_topics
from streaming.transforms.charts import dated
from streaming.trending import WEIGHTS, WINDOWS, last_tick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming.settings import Settings
    from streaming.trending import Window

NAME: Final = "stream_trending_to_gold"

COUNTED: Final = tuple(silver(topic.table) for topic in event_topics() if topic.event_type in WEIGHTS)
"""Silver tables whose events count."""

log = structlog.get_logger()


class Engine(Protocol):
    """Computes charts from silver."""

    def chart(self, window: Window, as_of: datetime) -> pa.Table:
        """Return the chart of the window that ends at `as_of`, as `streaming.transforms.charts.ranked` gives it."""


class Chart:
    """A window's chart: computed by an engine, dated, and kept tick by tick.

    Args:
        settings: where the lake is and when its ticks are.
        engine: computes.
        window: the rules.
    """

    def __init__(self, settings: Settings, engine: Engine, window: Window) -> None:
        self.window = window
        self.interval = window.interval(settings)
        self._storage = settings.storage
        self._engine = engine
        self._lake = Lake(self._storage)
        self._last: tuple[datetime, pa.Table] | None = None
        self._as_of = pc.max(self._lake.read(window.table, ["as_of"])["as_of"]).as_py() or EARLIEST

    def due(self, now: datetime) -> bool:
        """Whether the newest tick is not in the chart; neither is it when the chart is from the future."""
        return not last_tick(now, self.interval) <= self._as_of <= now

    def advance(self, as_of: datetime) -> dict[str, int]:
        """Replace the chart by the one as of a moment and keep its tick's; return the rows written by table id."""
        tick = last_tick(as_of, self.interval)
        chart = self._published(tick)
        added = 0
        if chart is None:
            chart = self.compute(tick)
            self.publish([tick], chart)
            added = chart.num_rows
        if as_of != tick:
            chart = self.compute(as_of)
        replace(chart, self.window.table, self._storage, note={"query": NAME, "as_of": as_of.isoformat()})
        self._as_of = as_of
        return {self.window.table.id: chart.num_rows, TRENDING_HISTORY.id: added}

    def compute(self, as_of: datetime) -> pa.Table:
        """Return the chart as of a moment with the ranks that its items had at the tick before.

        A tick that was never published, because nothing ran, is computed for its ranks.
        """
        before = last_tick(as_of - timedelta.resolution, self.interval)
        previous = self._published(before)
        if previous is None:
            previous = self._engine.chart(self.window, before)
        chart = dated(self._engine.chart(self.window, as_of), previous, as_of=as_of)
        if as_of == last_tick(as_of, self.interval):
            self._last = (as_of, chart)
        return chart

    def publish(self, ticks: Sequence[datetime], charts: pa.Table) -> None:
        """Make the charts of these ticks the history's."""
        named = charts.append_column("window", pa.repeat(self.window.name, charts.num_rows))
        note = {"query": NAME, "window": self.window.name, "ticks": len(ticks)}
        replace_ticks(named, self._storage, window=self.window.name, ticks=ticks, note=note)

    def _published(self, tick: datetime) -> pa.Table | None:
        """The chart of a tick as it was published; None when there is no row of it."""
        if self._last is not None and self._last[0] == tick:
            return self._last[1]
        columns = ["window", *self.window.table.schema.names]
        rows = self._lake.between(
            TRENDING_HISTORY, "as_of", after=tick - timedelta.resolution, until=tick, columns=columns
        )
        found = pa.Table.from_batches(rows, pa.schema([TRENDING_HISTORY.schema.field(name) for name in columns]))
        mine = found.filter(pc.field("window") == self.window.name)
        return mine.drop_columns("window") if mine.num_rows else None


class TrendingStream:
    """The job. The caller holds the lease.

    Args:
        settings: where the lake is and how often the charts tick.
        engine: computes the charts.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._charts = [Chart(settings, engine, window) for window in WINDOWS.values()]

    def run(self) -> dict[str, int]:
        """Bring every chart up to now; return the rows written by table id."""
        return self._advance({chart: datetime.now(UTC) for chart in self._charts})

    def run_due(self) -> dict[str, int]:
        """Bring the charts whose tick has come up to that tick; return the rows written by table id."""
        now = datetime.now(UTC)
        return self._advance({chart: last_tick(now, chart.interval) for chart in self._charts if chart.due(now)})

    def _advance(self, moments: Mapping[Chart, datetime]) -> dict[str, int]:
        written: Counter[str] = Counter()
        for chart, as_of in moments.items():
            started = time.monotonic()
            written.update(rows := chart.advance(as_of))
            seconds = time.monotonic() - started
            metrics.BATCH_SECONDS.labels(NAME).observe(seconds)
            metrics.LAST_BATCH.labels(NAME).set_to_current_time()
            log.info("batch_committed", query=NAME, as_of=as_of.isoformat(), seconds=round(seconds, 2), **rows)
        return dict(written)
