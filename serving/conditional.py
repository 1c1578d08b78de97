"""Answers that are the same for all: with an ETag, so that who has one already gets 304 and no body."""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request

_SECONDS: Final = 30

NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "What `If-None-Match` names is still the answer."},
}
IF_NONE_MATCH: Final[dict[str, Any]] = {
    "name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "ETag of an answer that the client has.",
}  # fmt: skip


def tagged(request: Request, answer: BaseModel) -> Response:
    """Return an answer as JSON under its ETag, or 304 if the client has it."""
    body = answer.model_dump_json(exclude_none=True).encode()
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    # Private: where keys are asked for, a cache between must not hand it to others.
    headers = {"ETag": etag, "Cache-Control": f"private, max-age={_SECONDS}"}
    held = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if etag in held or "*" in held:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
