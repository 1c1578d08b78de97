"""`POST /events`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import TypeAdapter
from starlette.requests import ClientDisconnect

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, direct, needs
from serving.events import edge
from serving.events.edge import MAX_BATCH
from serving.events.schemas import IngestAnswer
from serving.problems import MEDIA_TYPE, check, responses
from serving.wire import encode, header
from streaming.events import Identifier

if TYPE_CHECKING:
    from serving.access.callers import Caller
    from serving.parts import Parts

router = APIRouter(tags=["events"], route_class=GuardedRoute)

MAX_BODY: Final = 2 * 1024 * 1024
_BODY_SECONDS: Final = 30.0
_LINES: Final = frozenset({"application/x-ndjson", "application/jsonl", "application/ndjson"})

_SEED: Final = {"user_id": "user1", "event_type": "view", "item_id": "item1", "timestamp": "2024-01-01T00:00:00Z"}
_LISTEN: Final = {
    "event_id": "web-7f3a",
    "user_id": "user1",
    "event_type": "listen",
    "item_id": "track:4iV5W9uYEdYUVa79Axb7Rh",
    "timestamp": "2024-01-01T12:00:00+01:00",
    "ms_played": 185_000,
    "source": "web",
    "context": "playlist:morning",
}
_EVENT: Final = {"$ref": "#/components/schemas/EventIn"}
_BATCH: Final = {"type": "array", "items": _EVENT, "minItems": 1, "maxItems": MAX_BATCH}
_PROBLEM: Final = {"schema": {"$ref": "#/components/schemas/Problem"}}

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"One event, or an array or lines of 1 to {MAX_BATCH}; at most 2 MiB.",
        "content": {
            "application/json": {
                "schema": {"anyOf": [_EVENT, _BATCH]},
                "examples": {
                    "view": {"summary": "One view, the least there can be", "value": _SEED},
                    "batch": {
                        "summary": "A batch: a listen with all that can be said, and a view",
                        "value": [_LISTEN, _SEED],
                    },
                },
            },
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}
_NAME: Final = "idempotency-key"
_NAME_ON_WIRE: Final = _NAME.encode()
_IDENTIFIER: Final[TypeAdapter[str]] = TypeAdapter(Identifier)
_NAMED: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": _NAME,
            "in": "header",
            "required": False,
            "description": "Names this request: sent again within a day with the same body, its answer is the first "
            "one.",
            "schema": _IDENTIFIER.json_schema(),
        }
    ]
}
_REJECTED: Final[dict[str, Any]] = {
    "model": IngestAnswer,
    "description": "No event is valid: the same answer with the reasons. Or the body is no JSON: a problem.",
    "content": {MEDIA_TYPE: _PROBLEM},
}


async def read_body(request: Request) -> bytes:
    """Return the request's body.

    Raises:
        HTTPException: it is larger than `MAX_BODY`, of which no more is ever read, or comes too slowly.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_BODY:
                    raise HTTPException(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body must have at most {MAX_BODY} bytes"
                    )
                chunks.append(chunk)
    except TimeoutError as error:
        message = f"the body did not come within {_BODY_SECONDS:g} s"
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, message) from error
    except ClientDisconnect as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the client went away before the body was complete") from error
    return b"".join(chunks)


@router.post(
    "/events",
    status_code=HTTPStatus.ACCEPTED,
    summary="Send events",
    response_description="At least one event is safe; each has its verdict.",
    response_model=IngestAnswer,
    responses={**responses(400, 408, 409, 413, 503), 422: _REJECTED},
    openapi_extra=_BODY | _NAMED | needs(Scope.INGEST),
)
@direct
async def send_events(request: Request) -> Response:
    """Take one event or a batch, and answer each with a verdict.

    `accepted` means that the broker has acknowledged the event, `spooled` that it is on disk here and will be sent
    under the same event id. An event may be sent again at any time: it is stored once. On 503 nothing is lost if
    the whole request is sent again.
    """
    api: Parts = request.app.state.parts
    asker: Caller = request.scope["caller"]
    name = header(request.scope, _NAME_ON_WIRE)
    if name is not None:
        check(_IDENTIFIER, name, "header", _NAME)
    body = await read_body(request)
    kind = (header(request.scope, b"content-type") or "").partition(";")[0].strip().lower()
    read = edge.read_lines if kind in _LINES else edge.read_body
    answer = await api.replies.once(name, asker, body, lambda: api.ingest.take(read(body, datetime.now(UTC)), asker))
    refused = answer.accepted + answer.spooled == 0
    status = HTTPStatus.UNPROCESSABLE_ENTITY if refused else HTTPStatus.ACCEPTED
    return Response(encode(answer), status, media_type="application/json")
