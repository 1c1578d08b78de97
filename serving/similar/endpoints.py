"""`GET /similar/{item_id}`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, needs
from serving.items import ItemPath, wanted_item
from serving.parts import Api
from serving.problems import responses
from serving.recommend.listed import listed
from serving.recommend.schemas import SimilarAnswer
from streaming.errors import UnavailableError

router = APIRouter(tags=["recommendations"], route_class=GuardedRoute)


@router.get(
    "/similar/{item_id}",
    summary="Items similar to one",
    responses=responses(404, 422, 503),
    openapi_extra=needs(Scope.READ),
    response_model_exclude_none=True,
)
async def similar(
    api: Api,
    item_id: ItemPath,
    k: Annotated[int, Query(ge=1, le=100, description="How many items, 1 to 100.")] = 20,
) -> SimilarAnswer:
    """Items that the listeners of this one play as well."""
    wanted = wanted_item(item_id)
    bundle = api.models.current
    if bundle is None:
        raise UnavailableError("no model was released yet; try again later")
    if not (found := bundle.similar(wanted, k=k)):
        raise HTTPException(404, f"the model {bundle.version} knows nothing similar to {wanted}")
    names = api.names.value
    return SimilarAnswer(
        item_id=wanted,
        name=names.get(wanted),
        model_version=bundle.version,
        as_of=bundle.created_at,
        degraded=api.models.error is not None,
        items=listed(found, names),
    )
