"""`POST /1/submit-listens` and `GET /1/validate-token`, as ListenBrainz has them."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from music_assets.keys import Scope
from music_assets.sources.plays import Play
from serving.access.callers import Caller
from serving.access.rules import Asker, GuardedRoute, needs
from serving.events.edge import read
from serving.events.endpoints import read_body
from serving.listenbrainz import service
from serving.parts import Api
from serving.problems import responses
from streaming.errors import ContractError

router = APIRouter(tags=["events"], route_class=GuardedRoute)

_MOST_USER_ID: Final = 128
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A submission, as https://listenbrainz.readthedocs.io describes it; at most 2 MiB.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["listen_type", "payload"]},
                "example": {
                    "listen_type": "single",
                    "payload": [
                        {
                            "listened_at": 1_717_236_000,
                            "track_metadata": {"artist_name": "Air", "track_name": "La femme d'argent"},
                        }
                    ],
                },
            }
        },
    }
}


class SubmitAnswer(BaseModel):
    """All listens are safe."""

    status: Literal["ok"] = Field("ok", description="Always `ok`.")


class TokenAnswer(BaseModel):
    """Whose listens a token submits."""

    code: int = Field(description="200, as ListenBrainz has it.")
    message: str = Field(description="A sentence.")
    valid: bool = Field(description="Whether listens can be submitted with it.")
    user_name: str = Field(description="The user that they belong to.")


def submitter(request: Request, asker: Asker) -> str:
    """Return whose listens come: the person of the key; without keys the token itself names the user.

    Raises:
        ContractError: the token cannot be a user id.
    """
    if asker.user_id is not None:
        return asker.user_id
    token = request.headers.get("authorization", "").partition(" ")[2].strip()
    if not 0 < len(token) <= _MOST_USER_ID:
        raise ContractError(
            "missing_field", "authorization", "authorization: send `Token USER_ID`: no key is asked for"
        )
    return token


Submitter = Annotated[str, Depends(submitter)]


@router.post(
    "/1/submit-listens",
    summary="Submit listens as to ListenBrainz",
    responses=responses(400, 408, 413, 422, 503),
    openapi_extra=_BODY | needs(Scope.INGEST, own=True),
)
async def submit_listens(
    api: Api, asker: Asker, user_id: Submitter, body: Annotated[bytes, Depends(read_body)]
) -> SubmitAnswer:
    """Take listens of any scrobbler that can be given another address; the token is a key of one person.

    Artist and title make the item, so that the same play of an import or a collector is the same event.
    """
    made = service.plays(body, user_id)
    if made:
        await _take(api, asker, made)
    return SubmitAnswer()


async def _take(api: Api, asker: Caller, made: list[Play]) -> None:
    # The names go first: a chart that knows the play knows what it is called.
    if fresh := service.unknown_items(made, api.names.value):
        await api.outbox.put(fresh)
    now = datetime.now(UTC)
    answer = await api.ingest.take([read(event, now) for event in service.events(made)], asker)
    refused = next((each.error for each in answer.results if each.error is not None), None)
    if refused is not None:
        raise HTTPException(HTTPStatus.BAD_REQUEST, refused)


@router.get(
    "/1/validate-token",
    summary="Whose listens a token submits",
    responses=responses(422),
    openapi_extra=needs(Scope.INGEST, own=True),
)
async def validate_token(user_id: Submitter) -> TokenAnswer:
    """What scrobblers ask before they begin."""
    return TokenAnswer(code=200, message="Token valid.", valid=True, user_name=user_id)
