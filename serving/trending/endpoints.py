"""`GET /trending`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, needs
from serving.parts import Api
from serving.problems import responses
from serving.trending.schemas import TrendingAnswer, TrendingItem, Window
from streaming.events import ItemKind
from streaming.trending import WINDOWS

router = APIRouter(tags=["charts"], route_class=GuardedRoute)

_FRESH: Final = {name: timedelta(minutes=window.table.stale_after_minutes) for name, window in WINDOWS.items()}


@router.get(
    "/trending",
    summary="What is played most right now",
    responses=responses(422),
    openapi_extra=needs(Scope.READ),
)
async def trending(
    api: Api,
    window: Annotated[Window, Query(description="Length of the window.")] = "1h",
    kind: Annotated[ItemKind | None, Query(description="Only tracks, artists or albums; absent: all.")] = None,
    k: Annotated[int, Query(ge=1, le=100, description="How many items, 1 to 100.")] = 20,
) -> TrendingAnswer:
    """The chart of the last hour or day as of its last tick, with its age."""
    chart = api.trending.value[window]
    names, now = api.names.value, datetime.now(UTC)
    rows = [row for row in chart.rows if kind is None or row.item_kind == kind][:k]
    return TrendingAnswer(
        window=window,
        as_of=chart.as_of,
        degraded=chart.as_of is None or now - chart.as_of > _FRESH[window] or api.trending.dependency.state == "down",
        age_seconds=(now - chart.as_of).total_seconds() if chart.as_of else None,
        items=[
            TrendingItem(
                item_id=row.item_id, name=names.get(row.item_id), kind=row.item_kind, rank=rank,
                previous_rank=row.previous_rank, score=row.score, listeners=row.listeners, events=row.events,
            )
            for rank, row in enumerate(rows, start=1)
        ],
    )  # fmt: skip
