"""Errors as problem+json (RFC 9457): one form for all of them, made in one place."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from streaming.errors import ContractError, MusicError, UnavailableError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

T = TypeVar("T")

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5

_log = structlog.get_logger()


class Problem(BaseModel):
    """What went wrong, for a program and for a person (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Unprocessable Entity",
                "status": 422,
                "detail": "window: input should be '1h'",
                "field": "window",
                "valid": ["1h"],
            }
        }
    )

    type: str = Field("about:blank", description="Kind of the problem; `about:blank`: the status says it all.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What went wrong here, in one sentence that a person can act on.")
    field: str | None = Field(None, description="The field or parameter to blame, if one is.")
    valid: list[str] | None = Field(None, description="What would be valid there, if that can be listed.")


_DESCRIPTIONS: Final = {
    400: "The request cannot be read.",
    401: "A valid key is needed, `Authorization: Bearer KEY`, or a session.",
    403: "This does not open to the key or the session: another scope, another person's data, or no CSRF token.",
    404: "There is no such thing.",
    409: "It cannot be done as things stand.",
    408: "The body did not come in time.",
    413: "The body is larger than is allowed.",
    422: "A parameter or the body is not valid: the problem names it and what would be.",
    429: "Too many requests within a minute: try again after the seconds of `Retry-After`.",
    507: "There is no room for it on the disk.",
    503: "A part that is needed does not answer: try again after the seconds of `Retry-After`.",
}


FORESEEN: Final = (MusicError, RequestValidationError, HTTPException)
"""Errors that a handler raises on purpose: anything else is a fault."""


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of an endpoint's problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _DESCRIPTIONS[status], "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""
    for kind in (*FORESEEN, Exception):
        app.add_exception_handler(kind, answer)


async def answer(request: Request, error: Exception) -> Response:
    """Return the problem that an error is."""
    problem = _problem(error)
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        route = getattr(request.scope.get("route"), "path", "other")
        _log.error("request failed", endpoint=route, error=type(error).__name__, exc_info=error)
    headers = dict(getattr(error, "headers", None) or {})
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def check(kind: TypeAdapter[T], value: Any, *place: str) -> T:
    """Return a part of a request as its type has it.

    Raises:
        RequestValidationError: it is not valid; the problem names the place.
    """
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise RequestValidationError([{**each, "loc": (*place, *each["loc"])} for each in found]) from error


def _problem(error: Exception) -> Problem:
    match error:
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return _make(error.status_code, str(error.detail))
        case ContractError():
            return _make(422, error.detail, field=error.field)
        case UnavailableError():
            return _make(503, str(error))
        case _:
            return _make(500, "something went wrong here; the log of the API says what")


def _make(status: int, detail: str, *, field: str | None = None, valid: list[str] | None = None) -> Problem:
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, field=field, valid=valid)


def _invalid(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    field = str(first["loc"][-1])
    expected = str(first.get("ctx", {}).get("expected", ""))
    message = str(first["msg"])
    return _make(
        422,
        f"{field}: {message[0].lower()}{message[1:]}",
        field=field,
        valid=re.findall(r"'([^']*)'", expected) or None,
    )
