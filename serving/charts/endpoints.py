"""`GET /charts` and `GET /items/{item_id}`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, needs
from serving.charts.schemas import ChartAnswer, ChartKind, ItemAnswer
from serving.charts.store import Place, decode
from serving.conditional import IF_NONE_MATCH, NOT_MODIFIED, tagged
from serving.items import ItemPath, wanted_item
from serving.parts import Api
from serving.problems import responses
from streaming.errors import UnavailableError

router = APIRouter(route_class=GuardedRoute)


@router.get(
    "/charts",
    tags=["charts"],
    summary="The most played of a week",
    response_model=ChartAnswer,
    responses={**NOT_MODIFIED, **responses(404, 422, 503)},
    openapi_extra=needs(Scope.READ) | {"parameters": [IF_NONE_MATCH]},
)
async def charts(
    api: Api,
    request: Request,
    kind: Annotated[ChartKind, Query(description="What is ranked.")] = "track",
    week: Annotated[date | None, Query(description="Any day of the week; absent: the newest week.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Items a page, 1 to 200.")] = 50,
    cursor: Annotated[
        str | None, Query(min_length=1, max_length=500, description="`next` of the page before; it says the week too.")
    ] = None,
) -> Response:
    """The chart of a week, page by page, as the warehouse last built it; weeks are those of the listeners."""
    monday = week - timedelta(days=min(week.weekday(), week.toordinal() - 1)) if week else None
    place = decode(cursor) if cursor else Place(monday)
    found = await api.charts.page(kind, place, limit)
    if found is None:
        raise HTTPException(404, "nothing was played in that week, or there is no further page")
    return tagged(request, found)


@router.get(
    "/items/{item_id}",
    tags=["catalogue"],
    summary="What is known of an item",
    response_model=ItemAnswer,
    responses={**NOT_MODIFIED, **responses(404, 422, 503)},
    openapi_extra=needs(Scope.READ) | {"parameters": [IF_NONE_MATCH]},
)
async def item(api: Api, request: Request, item_id: ItemPath) -> Response:
    """Names, artist, album and genre of an item; while the warehouse is away, what the lake's catalogue says."""
    wanted = wanted_item(item_id)
    try:
        found = await api.charts.item(wanted)
    except UnavailableError:
        if wanted not in api.names.value:
            raise
        found = _from_lake(api, wanted)
    if found is None and wanted in api.names.value:
        found = _from_lake(api, wanted)
    if found is None:
        raise HTTPException(404, f"nothing is known of {wanted}")
    return tagged(request, found)


def _from_lake(api: Api, item_id: str) -> ItemAnswer:
    names, detail = api.names.value, api.details.value.get(item_id)
    artist_id = detail.artist_id if detail and detail.artist_id != item_id else None
    return ItemAnswer(
        item_id=item_id, kind=item_id.partition(":")[0], name=names.get(item_id), degraded=True, artist_id=artist_id,
        artist_name=names.get(artist_id or ""), genre=detail.genre if detail else None,
        release_date=str(detail.year) if detail and detail.year and not item_id.startswith("artist:") else None,
    )  # fmt: skip
