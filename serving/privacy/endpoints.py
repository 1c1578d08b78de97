"""`/users/{user_id}`: export, erasure, pause, hidden items; and `GET /erasures/{erasure_id}`."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Response
from starlette.responses import StreamingResponse

from music_assets.keys import Scope
from serving.access.rules import OPEN, Asker, GuardedRoute, needs
from serving.items import ItemPath, wanted_item
from serving.parts import Api
from serving.privacy import export as exporting
from serving.privacy.schemas import ErasureAnswer, HiddenAnswer, PauseAnswer
from serving.problems import responses
from streaming.events import Identifier

router = APIRouter(tags=["privacy"], route_class=GuardedRoute)

UserId = Annotated[Identifier, Path(description="The user, as in the events.")]
_ZIP: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A zip of JSON lines; `README.txt` says what is where.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/users/{user_id}/export",
    summary="Everything held about a person",
    response_class=StreamingResponse,
    responses={**_ZIP, **responses(404, 422, 503)},
    openapi_extra=needs(Scope.ADMIN),
)
async def export(api: Api, asker: Asker, user_id: UserId) -> StreamingResponse:
    """A zip with every event, what was made of them, what was recommended, imports, choices and keys.

    503 if a store does not answer: a part would look like the whole.
    """
    listener_id = await api.privacy.listener(user_id)
    await api.keys.audit(asker, "exported")
    file = await asyncio.to_thread(exporting.make, api.settings, api.lake, user_id, listener_id)
    return StreamingResponse(
        exporting.chunks(file),
        media_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="export.zip"', "Cache-Control": "no-store"},
    )


@router.delete(
    "/users/{user_id}",
    status_code=HTTPStatus.ACCEPTED,
    summary="Erase a person",
    response_description="The person is unknown from now on; a run removes what is left.",
    responses=responses(404, 422, 503),
    openapi_extra=needs(Scope.ADMIN),
    response_model_exclude_none=True,
)
async def erase(api: Api, asker: Asker, response: Response, user_id: UserId) -> ErasureAnswer:
    """Forget a person for good; nothing of the same user id is taken in again. There is no way back.

    With the answer the user id leads nowhere, and keys of the person open nothing. What is left is removed by a run
    within the hour; `GET /erasures/{erasure_id}` tells how far it is and is the receipt.
    """
    answer = await api.privacy.erase(user_id, asker)
    response.headers["Location"] = f"/erasures/{answer.erasure_id}"
    return answer


@router.get(
    "/erasures/{erasure_id}",
    summary="How far an erasure is, and its receipt",
    responses=responses(404, 422, 503),
    openapi_extra=OPEN,
    response_model_exclude_none=True,
)
async def erasure(
    api: Api, erasure_id: Annotated[UUID, Path(description="The erasure, as `DELETE /users/{user_id}` named it.")]
) -> ErasureAnswer:
    """Times and counts by store; it names nobody, so the id, which cannot be guessed, is all that is asked for.

    The person's own keys are gone, so no other way would be left to look.
    """
    return await api.privacy.erasure(erasure_id)


@router.post(
    "/users/{user_id}/pause",
    summary="Take nothing in of a person",
    responses=responses(404, 422, 503),
    openapi_extra=needs(Scope.ADMIN),
)
async def pause(api: Api, asker: Asker, user_id: UserId) -> PauseAnswer:
    """Reject a person's events and files, collect nothing, recommend nothing personal, until `DELETE` of the same."""
    await api.privacy.pause(user_id, asker, paused=True)
    return PauseAnswer(paused=True)


@router.delete(
    "/users/{user_id}/pause",
    summary="Take things in of a person again",
    responses=responses(404, 422, 503),
    openapi_extra=needs(Scope.ADMIN),
)
async def resume(api: Api, asker: Asker, user_id: UserId) -> PauseAnswer:
    """End a pause; what happened meanwhile is not made up for."""
    await api.privacy.pause(user_id, asker, paused=False)
    return PauseAnswer(paused=False)


@router.put(
    "/users/{user_id}/hidden/{item_id}",
    summary="Do not recommend an item to a person",
    responses=responses(404, 422, 503),
    openapi_extra=needs(Scope.INGEST),
)
async def hide(api: Api, user_id: UserId, item_id: ItemPath) -> HiddenAnswer:
    """Keep an item from a person's recommendations, from the next answer on."""
    wanted = wanted_item(item_id)
    await api.privacy.hide(user_id, wanted, hidden=True)
    return HiddenAnswer(item_id=wanted, hidden=True)


@router.delete(
    "/users/{user_id}/hidden/{item_id}",
    summary="Let an item be recommended again",
    responses=responses(404, 422, 503),
    openapi_extra=needs(Scope.INGEST),
)
async def show(api: Api, user_id: UserId, item_id: ItemPath) -> HiddenAnswer:
    """Take back that an item is not recommended to a person."""
    wanted = wanted_item(item_id)
    await api.privacy.hide(user_id, wanted, hidden=False)
    return HiddenAnswer(item_id=wanted, hidden=False)
