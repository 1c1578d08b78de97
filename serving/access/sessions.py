"""Who is signed in: sessions of the web page, told by a cookie."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from fastapi.exceptions import HTTPException

from music_assets import accounts, keys
from music_assets.keys import Scope
from serving.access.callers import Caller, Known
from serving.access.uses import Uses
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from serving.access.limits import Limiter
    from serving.database import Database
    from serving.settings import Settings

COOKIE: Final = "music_session"
_ID_CHARACTERS: Final = 43

_WINDOW_SECONDS: Final = 900
_TRIES_OF_ONE: Final = 20
"""Within the window, of one address at one account: a person who forgets, not a program that guesses."""
_TRIES_OF_ADDRESS: Final = 60
_TRIES_OF_ACCOUNT: Final = 200
_HASHES_AT_ONCE: Final = 2
"""Each takes 64 MiB and a core."""
_HASH_SECONDS: Final = 10.0
_SECONDS: Final = 5.0
"""Of a statement that signs in or out: a person waits, and nothing else does."""

_SCOPES: Final = frozenset(scope.value for scope in Scope)


@dataclass(frozen=True)
class Session:
    """A session as the tables hold it."""

    account_id: str
    name: str
    user_id: str | None
    is_operator: bool
    seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class SignedIn:
    """Who is signed in, and what a page of theirs must send beside the cookie."""

    session: Session
    csrf: str

    @property
    def caller(self) -> Caller:
        """The same as the holder of a key: of one person, or of the whole platform for an operator."""
        return Caller(self.session.account_id, _SCOPES, None if self.session.is_operator else self.session.user_id)

    def check(self, token: str | None) -> None:
        """Check what came beside the cookie of a request that changes something.

        Raises:
            HTTPException: it is not what a page of ours would send.
        """
        if token is None or not hmac.compare_digest(token.encode(), self.csrf.encode()):
            raise HTTPException(
                HTTPStatus.FORBIDDEN, "a request with a session's cookie needs X-CSRF-Token: `csrf` of GET /session"
            )


class Sessions:
    """Signs in and out, and knows who is signed in."""

    def __init__(self, database: Database, limiter: Limiter, settings: Settings) -> None:
        self._database = database
        self._limiter = limiter
        self._idle = timedelta(minutes=settings.session_idle_minutes)
        self.lifetime = timedelta(hours=settings.session_hours)
        self._known: Known[bytes, Session] = Known()
        self.used: Uses[bytes] = Uses(database, accounts.SEEN)
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)

    async def find(self, session_id: str) -> SignedIn | None:
        """Return who has a session; None if it has ended or never was.

        Raises:
            UnavailableError: it was never seen here and PostgreSQL does not answer.
        """
        if len(session_id) != _ID_CHARACTERS:
            return None
        held = accounts.session_hash(session_id)
        session = await self._known.find(held, lambda: self._look(held))
        now = datetime.now(UTC)
        if session is None or now >= session.expires_at:
            return None
        if now - max(session.seen_at, self.used.latest(held) or session.seen_at) > self._idle:
            return None
        self.used.note(held, now)
        return SignedIn(session, accounts.csrf_token(session_id))

    def knows(self, session_id: str) -> bool:
        """Whether a session of this id came before and was one."""
        return self._known.held(accounts.session_hash(session_id)) is not None

    async def sign_in(self, name: str, password: str, *, address: str, old: str | None) -> str:
        """Return the id of a new session, which takes the place of the one that the browser had.

        Args:
            name: of the account.
            password: as it was typed.
            address: who tries.
            old: the id of the session that the browser had.

        Raises:
            HTTPException: the name or the password is wrong, or there were too many tries.
            UnavailableError: PostgreSQL does not answer.
        """
        await self._check_tries(name.lower(), address)
        rows = await self._database.rows(accounts.FIND, {"name": name}, seconds=_SECONDS)
        if not await self._is_right(rows[0]["password_hash"] if rows else None, password):
            raise _wrong()
        account_id, session_id = rows[0]["account_id"], accounts.new_session()
        old_hash = accounts.session_hash(old or "")
        values = {
            "account_id": account_id, "session_hash": accounts.session_hash(session_id), "old_hash": old_hash,
            "idle": self._idle, "lifetime": self.lifetime,
        }  # fmt: skip
        if not await self._database.rows(accounts.SIGN_IN, values, seconds=_SECONDS):
            raise _wrong()
        self._forget(old_hash)
        said = {"key_id": account_id, "action": "signed in", "detail": None}
        await self._database.rows(keys.AUDIT, said, seconds=_SECONDS)
        return session_id

    async def sign_out(self, session_id: str) -> None:
        """End a session.

        Raises:
            UnavailableError: PostgreSQL does not answer; it goes on.
        """
        held = accounts.session_hash(session_id)
        await self._database.rows(accounts.SIGN_OUT, {"session_hash": held}, seconds=_SECONDS)
        self._forget(held)

    def forget_person(self, user_id: str) -> None:
        """Drop the sessions of a person who was erased."""
        for held, session in self._known.items():
            if session.user_id == user_id:
                self._forget(held)

    async def _look(self, held: bytes) -> Session | None:
        rows = await self._database.rows(accounts.SESSION, {"session_hash": held})
        return Session(**rows[0]) if rows else None

    def _forget(self, held: bytes) -> None:
        self._known.drop(held)
        self.used.drop(held)

    async def _check_tries(self, name: str, address: str) -> None:
        """Count a try before anything is looked up: right or wrong must not be told by how it is counted."""
        for kind, who, most in (
            ("signin-address", address, _TRIES_OF_ADDRESS),
            ("signin-one", f"{address} {name}", _TRIES_OF_ONE),
            ("signin-account", name, _TRIES_OF_ACCOUNT),
        ):
            standing = await self._limiter.count(kind, who, most, window=_WINDOW_SECONDS)
            if standing.exceeded:
                raise HTTPException(
                    HTTPStatus.TOO_MANY_REQUESTS, "too many tries to sign in; wait a little",
                    headers={"Retry-After": str(standing.reset_seconds)},
                )  # fmt: skip

    async def _is_right(self, password_hash: str | None, password: str) -> bool:
        try:
            async with asyncio.timeout(_HASH_SECONDS), self._hashing:
                return await asyncio.to_thread(accounts.is_right, password_hash, password)
        except TimeoutError as error:
            raise UnavailableError("too many sign in at once; try again soon") from error


def _wrong() -> HTTPException:
    return HTTPException(HTTPStatus.UNAUTHORIZED, "account or password is wrong")
