"""`GET /users`, `GET /users/{user_id}/recent`, `GET /users/{user_id}/plays`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, needs
from serving.parts import Api
from serving.plays.feed import Stream
from serving.plays.schemas import RecentAnswer, UserRow, UsersAnswer
from serving.problems import responses
from streaming.events import Identifier

router = APIRouter(tags=["listening"], route_class=GuardedRoute)

STREAM_SECONDS: Final = 900.0
"""Then a browser comes again by itself, and who it is is looked at again."""

UserId = Annotated[Identifier, Path(description="The user, as in the events.")]
_NO_CONTROL_OR_EMPTY: Final = r"^[^\x00-\x1f\x7f]*$"
_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events of the kind `play`, each with a play as in `GET /users/{user_id}/recent`.",
        "content": {
            "text/event-stream": {
                "example": 'event: play\ndata: {"event_id": "web-7f3a", "item_id": "track:t1"}\nid: web-7f3a\n\n'
            }
        },
    }
}


@router.get(
    "/users", summary="Find users by name", responses=responses(422, 503), openapi_extra=needs(Scope.READ, whole=True)
)
async def users(
    api: Api,
    response: Response,
    prefix: Annotated[
        str, Query(max_length=128, pattern=_NO_CONTROL_OR_EMPTY, description="What their ids begin with.")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=100, description="Users at most, 1 to 100.")] = 20,
) -> UsersAnswer:
    """Users that something is known of, so that a person can choose one."""
    response.headers["Cache-Control"] = "no-store"
    found = await api.plays.users(prefix, limit=limit)
    return UsersAnswer(users=[UserRow(user_id=user_id) for user_id in found])


@router.get(
    "/users/{user_id}/recent",
    summary="What somebody played lately",
    responses=responses(404, 422, 503),
    openapi_extra=needs(Scope.READ),
)
async def recent(
    api: Api,
    response: Response,
    user_id: UserId,
    limit: Annotated[int, Query(ge=1, le=100, description="Plays at most, 1 to 100.")] = 20,
) -> RecentAnswer:
    """The latest plays: those of the online store, which is seconds old, with what the warehouse knows of them.

    An item that was played again since the warehouse was built is told with its latest time.
    """
    response.headers["Cache-Control"] = "no-store"
    return await api.plays.recent(user_id, limit=limit)


async def followed(api: Api, user_id: UserId) -> AsyncIterator[Stream]:
    """Open a stream before its answer begins, so that what is wrong is still an error."""
    with api.feed.follow(await api.privacy.listener(user_id)) as stream:
        yield stream


@router.get(
    "/users/{user_id}/plays",
    summary="What somebody plays now",
    response_class=EventSourceResponse,
    responses={**_EVENTS, **responses(404, 422, 503)},
    openapi_extra=needs(Scope.READ),
)
async def plays(
    api: Api, user_id: UserId, stream: Annotated[Stream, Depends(followed)]
) -> AsyncIterator[ServerSentEvent]:
    """Each play as it comes in, from now on, as server-sent events; a comment every 15 s keeps it open.

    It ends after a quarter of an hour, when the process ends, and when the person pauses or is erased: a browser comes
    again by itself and asks `GET /users/{user_id}/recent` for what it missed.
    """
    try:
        async with asyncio.timeout(STREAM_SECONDS):
            while (play := await stream.get()) is not None:
                shown = api.plays.shown(user_id, play)
                yield ServerSentEvent(data=shown, event="play", id=shown.event_id)
    except TimeoutError:
        return
