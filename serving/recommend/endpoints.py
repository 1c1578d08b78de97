"""`GET /recommend` and `GET /recommendations/{user_id}`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, needs
from serving.parts import Api
from serving.problems import responses
from serving.recommend.filters import Wanted, read_wanted
from serving.recommend.schemas import RecommendationAnswer
from streaming.events import Identifier

router = APIRouter(tags=["recommendations"], route_class=GuardedRoute)

K = Annotated[int, Query(ge=1, le=100, description="How many items, 1 to 100.")]
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
