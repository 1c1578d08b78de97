"""What each route asks of who comes: declared beside the route, kept before its handler runs.

A route says one of three things: `needs(scope)`, `needs(scope, whole=True)` for what tells of the whole platform and so
is nothing for a key of one person, or `OPEN`. A route that says nothing needs `admin`, and a test names it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar, get_type_hints
from urllib.parse import parse_qsl

from fastapi import Depends
from fastapi.exceptions import HTTPException
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from music_assets.keys import Scope
from serving.access.callers import THIS_MACHINE, Caller
from serving.problems import check
from streaming.errors import UnavailableError

SCOPE: Final = "x-scope"
WHOLE: Final = "x-whole-platform"
OWN: Final = "x-one-person"
SECURITY_SCHEME: Final = "key"
SESSION_SCHEME: Final = "session"
PUBLIC: Final = "none"

OPEN: Final[dict[str, Any]] = {SCOPE: PUBLIC, "security": []}
"""For what anybody may ask; only limits hold."""


def needs(scope: Scope, *, whole: bool = False, own: bool = False) -> dict[str, Any]:
    """Return the part of a route's description that says which scope a key must have.

    Args:
        scope: which.
        whole: nothing in it belongs to one person, so a key of one person does not open it.
        own: the key says whom it is about, so only a key of one person opens it.
    """
    marks = ({WHOLE: True} if whole else {}) | ({OWN: True} if own else {})
    return {SCOPE: scope.value, "security": [{SECURITY_SCHEME: []}, {SESSION_SCHEME: []}], **marks}


async def caller_of(request: Request) -> Caller:
    """Return who asks a guarded route."""
    caller: Caller = request.scope["caller"]
    return caller


Asker = Annotated[Caller, Depends(caller_of)]
"""For handlers that must know who asks."""


Handler = Callable[[Request], Coroutine[Any, Any, Response]]
E = TypeVar("E", bound="Callable[..., Coroutine[Any, Any, Response]]")
_DIRECT: Final[set[Callable[..., Any]]] = set()


def direct(endpoint: E) -> E:
    """Mark an endpoint that takes the request itself, and makes the response.

    It may have one parameter more, `asked`, a model of the query. What FastAPI does beyond that, to solve dependencies
    and to check its own answers, costs more than all the rest of the busiest routes.
    """
    _DIRECT.add(endpoint)
    return endpoint


def _handler(endpoint: Callable[..., Coroutine[Any, Any, Response]]) -> Handler:
    model = get_type_hints(endpoint).get("asked")
    if model is None:
        return endpoint
    kind: TypeAdapter[Any] = TypeAdapter(model)

    async def asked(request: Request) -> Response:
        query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
        return await endpoint(request, check(kind, query, "query"))

    return asked


class GuardedRoute(APIRoute):
    """A route whose handler runs only for who may ask."""

    def get_route_handler(self) -> Handler:
        """Return the handler behind its guard."""
        handle = _handler(self.endpoint) if self.endpoint in _DIRECT else super().get_route_handler()
        declared = self.openapi_extra or {}
        wanted, whole = declared.get(SCOPE, Scope.ADMIN.value), bool(declared.get(WHOLE))
        own = bool(declared.get(OWN))
        if wanted == PUBLIC:
            return handle
        scope = Scope(wanted)

        async def guarded(request: Request) -> Response:
            caller: Caller | UnavailableError | None = request.scope["caller"]
            if isinstance(caller, UnavailableError):
                raise caller
            if caller is None:
                raise HTTPException(
                    HTTPStatus.UNAUTHORIZED,
                    "this needs a valid key, sent as `Authorization: Bearer KEY`, or a session",
                    headers={"WWW-Authenticate": "Bearer"},
                )  # fmt: skip
            if not caller.may(scope):
                raise HTTPException(HTTPStatus.FORBIDDEN, f"this needs a key with the scope {scope}")
            if own and caller.user_id is None and caller is not THIS_MACHINE:
                raise HTTPException(HTTPStatus.FORBIDDEN, "this needs a key of one person: `music key create --user`")
            if caller.user_id is not None:
                _check_person(request, caller, whole=whole)
            return await handle(request)

        return guarded


def direct_handlers(routes: Sequence[BaseRoute]) -> dict[tuple[str, str], tuple[APIRoute, Handler]]:
    """Return the `direct` routes with a fixed path, by method and path, each with its handler behind its guard."""
    return {
        (method, route.path): (route, route.get_route_handler())
        for route in routes
        if isinstance(route, GuardedRoute) and route.endpoint in _DIRECT and not route.param_convertors
        for method in route.methods or ()
    }


def _check_person(request: Request, caller: Caller, *, whole: bool) -> None:
    """Check that a key of one person asks for nobody else; what a body names is checked where it is read."""
    if whole:
        raise HTTPException(HTTPStatus.FORBIDDEN, "this tells of the whole platform: a key of one person is not enough")
    named = request.query_params.getlist("user_id")
    if "user_id" in request.path_params:
        named.append(request.path_params["user_id"])
    for user_id in named:
        caller.check(user_id)
