"""The gold tables `trending_now_*`, held in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from serving.views import Source, View
from streaming.trending import WINDOWS

if TYPE_CHECKING:
    from collections.abc import Mapping

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


TrendingView = View["Mapping[str, Chart]"]


def trending_view(lake: Lake) -> TrendingView:
    """Return the view of the charts by the name of their window."""
    columns = ("as_of", "item_id", "item_kind", "rank", "previous_rank", "score", "listeners", "events")
    sources = [Source(window.table, columns) for window in WINDOWS.values()]
    return View(lake, sources, build=_charts, empty=MappingProxyType(dict.fromkeys(WINDOWS, Chart())))


def _charts(tables: list[pa.Table]) -> Mapping[str, Chart]:
    return MappingProxyType({name: _chart(table) for name, table in zip(WINDOWS, tables, strict=True)})


def _chart(table: pa.Table) -> Chart:
    rows = table.to_pylist()
    if not rows:
        return Chart()
    as_of = max(row["as_of"] for row in rows)
    latest = [row for row in rows if row.pop("as_of") == as_of]
    # Ranks are counted within a kind; scores compare across kinds.
    latest.sort(key=lambda row: (-row["score"], row["item_id"]))
    return Chart(as_of, tuple(TrendingRow(**row) for row in latest))
