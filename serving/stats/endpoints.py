"""`GET /users/{user_id}/stats`."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, needs
from serving.parts import Api
from serving.problems import responses
from serving.stats.schemas import Range, StatsAnswer
from streaming.events import NO_CONTROL, Identifier

router = APIRouter(tags=["listening"], route_class=GuardedRoute)


@router.get(
    "/users/{user_id}/stats",
    summary="How somebody listens",
    responses=responses(404, 422, 503),
    openapi_extra=needs(Scope.READ),
)
async def stats(
    api: Api,
    response: Response,
    user_id: Annotated[Identifier, Path(description="The user, as in the events.")],
    range: Annotated[Range, Query(description="The last 7, 30 or 365 days, or all; if `first` is absent.")] = "month",  # noqa: A002 - the parameter's name
    first: Annotated[
        date | None, Query(ge=date(1900, 1, 1), le=date(2200, 1, 1), description="First day, instead of `range`.")
    ] = None,
    last: Annotated[
        date | None, Query(ge=date(1900, 1, 1), le=date(2200, 1, 1), description="Last day; absent: today.")
    ] = None,
    zone: Annotated[
        str | None,
        Query(min_length=1, max_length=64, pattern=NO_CONTROL, description="Time zone; absent: the listener's own."),
    ] = None,
    k: Annotated[int, Query(ge=1, le=100, description="Items of each list, 1 to 100.")] = 10,
) -> StatsAnswer:
    """Plays, minutes, what was played most, and when; days are those of the listener's time zone."""
    response.headers["Cache-Control"] = "no-store"
    return await api.stats.read(user_id, span=range, first=first, last=last, zone=zone, k=k)
