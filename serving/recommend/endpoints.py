"""`GET /recommend` and `GET /recommendations/{user_id}`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import JSONResponse

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, direct, needs
from serving.parts import Api, Parts
from serving.problems import responses
from serving.recommend.filters import Asked, AskedPlaylist, Conditions
from serving.recommend.playlist import jspf, m3u
from serving.recommend.schemas import RecommendationAnswer
from serving.wire import encode
from streaming.events import Identifier, ItemKind

router = APIRouter(tags=["recommendations"], route_class=GuardedRoute)

_NOT_KEPT: Final = {"Cache-Control": "no-store"}
_PLAYLIST: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A playlist; it may be empty.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "audio/x-mpegurl": {"schema": {"type": "string"}},
        },
    }
}
User = Annotated[Identifier, Path(description="The user, as in the events; an unknown one gets what is popular.")]


@router.get(
    "/recommend",
    summary="Recommend items to a user",
    response_description="Recommendations, best first.",
    response_model=RecommendationAnswer,
    responses=responses(422, 503),
    openapi_extra=needs(Scope.READ),
)
@direct
async def recommend(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    """Recommend what the user has not heard, each item with its reason; falls back to the chart, then to popularity."""
    return await _answer(request.app.state.parts, asked.user_id, asked)


@router.get(
    "/recommendations/{user_id}",
    summary="Recommend items to a user, by path",
    response_description="Recommendations, best first.",
    response_model=RecommendationAnswer,
    responses=responses(422, 503),
    openapi_extra=needs(Scope.READ),
)
async def recommendations(api: Api, user_id: User, asked: Annotated[Conditions, Query()]) -> Response:
    """The same answer as `/recommend`, under the user's own address."""
    return await _answer(api, user_id, asked)


async def _answer(api: Parts, user_id: str, asked: Conditions) -> Response:
    found = await api.recommender.recommend(user_id, k=asked.k, wanted=asked.wanted())
    return Response(encode(found), media_type="application/json", headers=_NOT_KEPT)


@router.get(
    "/recommendations/{user_id}/playlist",
    summary="Recommended tracks as a playlist",
    response_class=Response,
    responses={**_PLAYLIST, **responses(404, 422, 503)},
    openapi_extra=needs(Scope.READ),
)
async def playlist(api: Api, user_id: User, asked: Annotated[AskedPlaylist, Query()]) -> Response:
    """What `/recommend` would say of tracks, for players; nothing is played here, so a track is named by its id."""
    wanted = replace(asked.wanted(), kind=ItemKind.TRACK)
    answer = await api.recommender.recommend(user_id, k=asked.k, wanted=wanted)
    found = RecommendationAnswer.model_validate_json(encode(answer))
    names, details = api.names.value, api.details.value
    headers = _NOT_KEPT | {"Content-Disposition": f'attachment; filename="recommended.{asked.format}"'}
    if asked.format == "m3u":
        return Response(m3u(found, names, details), media_type="audio/x-mpegurl; charset=utf-8", headers=headers)
    return JSONResponse(jspf(found, names, details), headers=headers)
