"""The gold table `trending_now_1h`, held in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from serving.views import Source, View
from streaming.tables import TRENDING_1H

if TYPE_CHECKING:
    import pyarrow as pa

    from streaming.lake import Lake


@dataclass(frozen=True, kw_only=True, slots=True)
class TrendingRow:
    """One item of the chart."""

    item_id: str
    item_kind: str
    rank: int
    previous_rank: int | None
    score: float
    listeners: int
    events: int


@dataclass(frozen=True)
class Chart:
    """The chart of one tick, best first; `as_of` is None before the first tick."""

    as_of: datetime | None = None
    rows: tuple[TrendingRow, ...] = ()


TrendingView = View[Chart]


def trending_view(lake: Lake) -> TrendingView:
    """Return the view of the 1 h chart."""
    columns = ("as_of", "item_id", "item_kind", "rank", "previous_rank", "score", "listeners", "events")
    return View(lake, [Source(TRENDING_1H, columns)], build=_chart, empty=Chart())


def _chart(tables: list[pa.Table]) -> Chart:
    rows = tables[0].to_pylist()
    if not rows:
        return Chart()
    as_of = max(row["as_of"] for row in rows)
    latest = [row for row in rows if row.pop("as_of") == as_of]
    # Ranks are counted within a kind; scores compare across kinds.
    latest.sort(key=lambda row: (-row["score"], row["item_id"]))
    return Chart(as_of, tuple(TrendingRow(**row) for row in latest))
