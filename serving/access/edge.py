"""The first thing a request meets: who comes, whether too often, and the headers that every answer carries."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fastapi.exceptions import HTTPException
from starlette.requests import Request, cookie_parser

from serving import problems
from serving.access.callers import THIS_MACHINE
from serving.access.sessions import COOKIE
from serving.wire import header
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from serving.access.callers import Caller
    from serving.access.limits import Standing
    from serving.access.sessions import SignedIn
    from serving.parts import Parts
    from serving.settings import Settings

_SCHEMES: Final = frozenset({"bearer", "token"})
"""`Token` is what scrobblers for ListenBrainz send."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGN_IN: Final = ("POST", "/session")
"""Needs no token: it does nothing with the session that the browser has, and a page elsewhere cannot send its JSON."""
_PROBES: Final = frozenset({"/health/live", "/health/ready"})
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_POLICY: Final = (
    "default-src 'self'; script-src 'self'{}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_OF_ALL: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"content-security-policy", _POLICY.format("").encode()),
)
_OF_DOCS: Final = (*_OF_ALL[:-1], (b"content-security-policy", _POLICY.format(" 'unsafe-inline'").encode()))
"""The documentation's page starts its script from within the page."""


class EdgeMiddleware:
    """Puts the caller in the scope for the routes' guards, refuses who asks too often, and adds headers.

    Args:
        app: what comes next.
        settings: whether keys are asked for, and the limits.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._open = settings.api_auth == "open"
        self._origins = frozenset(settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        standing: Standing | None = None

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message["headers"], scope["path"], standing)
            await send(message)

        try:
            if self._open:
                self._check_here(scope)
                scope["caller"] = THIS_MACHINE
            else:
                scope["caller"], standing = await self._admit(scope)
        except HTTPException as error:
            await (await problems.answer(Request(scope), error))(scope, receive, with_headers)
            return
        if standing is not None and standing.exceeded:
            await (await problems.answer(Request(scope), _too_many(standing)))(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    async def _admit(self, scope: Scope) -> tuple[Caller | UnavailableError | None, Standing | None]:
        parts: Parts = scope["app"].state.parts
        authorization = header(scope, b"authorization")
        scheme, _, text = (authorization or "").partition(" ")
        key = text if scheme.lower() in _SCHEMES else None
        cookie = None if authorization is not None else cookie_parser(header(scope, b"cookie") or "").get(COOKIE)
        standing: Standing | None = None
        # Who tries keys is counted before anything is looked up.
        known = parts.keys.knows(key or "") or parts.sessions.knows(cookie or "")
        if not known and self._settings.api_rate_per_ip and scope["path"] not in _PROBES:
            standing = await parts.limiter.count("ip", address_of(scope), self._settings.api_rate_per_ip)
            if standing.exceeded:
                return None, standing
        try:
            scope["signed_in"] = signed_in = await parts.sessions.find(cookie) if cookie else None
            caller = await parts.keys.caller(key) if key else signed_in.caller if signed_in else None
        except UnavailableError as error:
            return error, standing
        if caller is not None and self._settings.api_rate_per_key:
            standing = await parts.limiter.count("key", caller.key_id, self._settings.api_rate_per_key)
        if signed_in is not None and not (standing and standing.exceeded):
            _check_token(scope, signed_in)
        return caller, standing

    def _check_here(self, scope: Scope) -> None:
        """Refuse what a web page elsewhere makes a browser on this machine send: nobody is asked for a key here."""
        host = header(scope, b"host") or ""
        if not _is_here(host):
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "without keys the API answers under localhost and 127.0.0.1 only; for other names set API_AUTH=keys",
            )
        origin = None if scope["method"] in _SAFE else header(scope, b"origin")
        if origin is None or origin in self._origins or urlsplit(origin).netloc == host:
            return
        raise HTTPException(HTTPStatus.FORBIDDEN, "this page may not change anything here; see API_CORS_ORIGINS")


def _check_token(scope: Scope, signed_in: SignedIn) -> None:
    """Refuse what another page makes a browser send along with the session's cookie."""
    if scope["method"] not in _SAFE and (scope["method"], scope["path"]) != _SIGN_IN:
        signed_in.check(header(scope, b"x-csrf-token"))


@lru_cache(maxsize=64)
def _is_here(host: str) -> bool:
    return urlsplit(f"//{host}").hostname in _HERE


def _add_headers(headers: list[tuple[bytes, bytes]], path: str, standing: Standing | None) -> None:
    """Add headers to an answer's own list: made once, because every answer has them."""
    headers += _OF_DOCS if path == "/docs" else _OF_ALL
    if standing is not None:
        headers += (
            (b"ratelimit-limit", b"%d" % standing.limit),
            (b"ratelimit-remaining", b"%d" % standing.remaining),
            (b"ratelimit-reset", b"%d" % standing.reset_seconds),
        )


def _too_many(standing: Standing) -> HTTPException:
    return HTTPException(
        HTTPStatus.TOO_MANY_REQUESTS, f"more than {standing.limit} requests within a minute; wait a little",
        headers={"Retry-After": str(standing.reset_seconds)},
    )  # fmt: skip


def address_of(scope: Scope) -> str:
    """Return the client's address; of IPv6 the network, because one client has all of it."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return address.exploded[:19] if isinstance(address, IPv6Address) else host
