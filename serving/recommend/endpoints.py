"""`GET /recommend` and `GET /recommendations/{user_id}`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from starlette.responses import JSONResponse

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, needs
from serving.parts import Api
from serving.problems import responses
from serving.recommend.filters import Wanted, read_wanted
from serving.recommend.playlist import jspf, m3u
from serving.recommend.schemas import RecommendationAnswer
from streaming.events import Identifier, ItemKind

router = APIRouter(tags=["recommendations"], route_class=GuardedRoute)

K = Annotated[int, Query(ge=1, le=100, description="How many items, 1 to 100.")]
_PLAYLIST: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A playlist; it may be empty.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "audio/x-mpegurl": {"schema": {"type": "string"}},
        },
    }
}
Filters = Annotated[Wanted, Depends(read_wanted)]


@router.get(
    "/recommend",
    summary="Recommend items to a user",
    response_description="Recommendations, best first.",
    responses=responses(422, 503),
    openapi_extra=needs(Scope.READ),
    response_model_exclude_none=True,
)
async def recommend(
    api: Api,
    response: Response,
    user_id: Annotated[
        Identifier, Query(description="The user, as in the events; an unknown one gets what is popular.")
    ],
    wanted: Filters,
    k: K = 20,
) -> RecommendationAnswer:
    """Recommend what the user has not heard, each item with its reason; falls back to the chart, then to popularity."""
    response.headers["Cache-Control"] = "no-store"
    return await api.recommender.recommend(user_id, k=k, wanted=wanted)


@router.get(
    "/recommendations/{user_id}",
    summary="Recommend items to a user, by path",
    response_description="Recommendations, best first.",
    responses=responses(422, 503),
    openapi_extra=needs(Scope.READ),
    response_model_exclude_none=True,
)
async def recommendations(
    api: Api,
    response: Response,
    user_id: Annotated[
        Identifier, Path(description="The user, as in the events; an unknown one gets what is popular.")
    ],
    wanted: Filters,
    k: K = 20,
) -> RecommendationAnswer:
    """The same answer as `/recommend`, under the user's own address."""
    response.headers["Cache-Control"] = "no-store"
    return await api.recommender.recommend(user_id, k=k, wanted=wanted)


@router.get(
    "/recommendations/{user_id}/playlist",
    summary="Recommended tracks as a playlist",
    response_class=Response,
    responses={**_PLAYLIST, **responses(404, 422, 503)},
    openapi_extra=needs(Scope.READ),
)
async def playlist(
    api: Api,
    user_id: Annotated[
        Identifier, Path(description="The user, as in the events; an unknown one gets what is popular.")
    ],
    wanted: Filters,
    format: Annotated[Literal["jspf", "m3u"], Query(description="JSPF, or extended M3U.")] = "jspf",  # noqa: A002 - the parameter's name
    k: K = 20,
) -> Response:
    """What `/recommend` would say of tracks, for players; nothing is played here, so a track is named by its id."""
    found = await api.recommender.recommend(user_id, k=k, wanted=replace(wanted, kind=ItemKind.TRACK))
    names, details = api.names.value, api.details.value
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="recommended.{format}"'}
    if format == "m3u":
        return Response(m3u(found, names, details), media_type="audio/x-mpegurl; charset=utf-8", headers=headers)
    return JSONResponse(jspf(found, names, details), headers=headers)
