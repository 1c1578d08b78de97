"""`GET`, `POST` and `DELETE /session`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from serving.access.edge import address_of
from serving.access.rules import OPEN, GuardedRoute
from serving.access.sessions import COOKIE, SignedIn
from serving.parts import Api
from serving.problems import responses
from serving.session.schemas import SessionAnswer, SignIn
from streaming.errors import UnavailableError

router = APIRouter(tags=["session"], route_class=GuardedRoute)

_OPEN: Final = SessionAnswer(mode="open", signed_in=True, account=None, user_id=None, operator=True, csrf=None)
_NOBODY: Final = SessionAnswer(mode="keys", signed_in=False, account=None, user_id=None, operator=False, csrf=None)


async def signed_in(request: Request) -> SignedIn | None:
    """Return who sent a request, if by a session.

    Raises:
        UnavailableError: it cannot be found out now.
    """
    if isinstance(caller := request.scope["caller"], UnavailableError):
        raise caller
    found: SignedIn | None = request.scope.get("signed_in")
    return found


Current = Annotated[SignedIn | None, Depends(signed_in)]


@router.get("/session", summary="Who is signed in", responses=responses(503), openapi_extra=OPEN)
async def current(api: Api, found: Current, response: Response) -> SessionAnswer:
    """The account of the session, the listener that it opens, and the token for requests that change something."""
    response.headers["Cache-Control"] = "no-store"
    return _OPEN if api.settings.api_auth == "open" else _answer(found)


@router.post("/session", summary="Sign in", responses=responses(401, 409, 422, 503), openapi_extra=OPEN)
async def sign_in(api: Api, request: Request, response: Response, asked: SignIn) -> SessionAnswer:
    """Begin a session, in the place of the one that the browser had, and set its cookie.

    Too many tries of an address, or at an account, get 429 with `Retry-After`.
    """
    if api.settings.api_auth == "open":
        raise HTTPException(HTTPStatus.CONFLICT, "API_AUTH=open: nobody needs to sign in")
    session_id = await api.sessions.sign_in(
        asked.account, asked.password.get_secret_value(), address=address_of(request.scope),
        old=request.cookies.get(COOKIE),
    )  # fmt: skip
    response.set_cookie(
        COOKIE, session_id, max_age=int(api.sessions.lifetime.total_seconds()), path="/",
        secure=request.url.scheme == "https", httponly=True, samesite="strict",
    )  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return _answer(await api.sessions.find(session_id))


@router.delete(
    "/session", status_code=HTTPStatus.NO_CONTENT, summary="Sign out", responses=responses(503), openapi_extra=OPEN
)
async def sign_out(api: Api, request: Request, found: Current, response: Response) -> None:
    """End the session, here and for every process; without one there is nothing to end."""
    if found is not None:
        await api.sessions.sign_out(request.cookies[COOKIE])
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def _answer(found: SignedIn | None) -> SessionAnswer:
    if found is None:
        return _NOBODY
    session = found.session
    return SessionAnswer(
        mode="keys", signed_in=True, account=session.name, user_id=session.user_id, operator=session.is_operator,
        csrf=found.csrf,
    )  # fmt: skip
