"""Who asks: the holder of a key, or this machine."""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from fastapi.exceptions import HTTPException

from music_assets import keys
from music_assets.keys import Key, Scope
from serving.access.uses import Uses
from serving.lately import keep
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterator

    from serving.database import Database

N = TypeVar("N", bound="Hashable")
V = TypeVar("V")

FRESH_SECONDS: Final = 5.0
"""How long a key is believed without a look: within this a revoked one opens nothing any more."""

_REMEMBERED: Final = 10_000

_USED: Final = """
update identity.api_keys set last_used_at = greatest(last_used_at, used.at)
from unnest(%(names)s::text[], %(times)s::timestamptz[]) as used (key_id, at)
where api_keys.key_id = used.key_id
"""


@dataclass(frozen=True)
class Caller:
    """Who asks: which key, what it may, and the only person whose data it opens; None: everybody's."""

    key_id: str
    scopes: frozenset[str]
    user_id: str | None

    def may(self, scope: Scope) -> bool:
        """Whether it has a scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def owns(self, user_id: str) -> bool:
        """Whether a person's data is open to it."""
        return self.user_id is None or self.user_id == user_id

    def check(self, user_id: str) -> None:
        """Check that a person's data is open to it.

        Raises:
            HTTPException: it is not.
        """
        if not self.owns(user_id):
            raise HTTPException(HTTPStatus.FORBIDDEN, "this key opens the data of another person only")


THIS_MACHINE: Final = Caller("open", frozenset({Scope.ADMIN.value}), None)
"""Everybody, where no key is asked for."""


class Known(Generic[N, V]):
    """What was looked up lately, so that a request costs no look into PostgreSQL and its absence costs no request."""

    def __init__(self) -> None:
        self._held: OrderedDict[N, tuple[float, V | None]] = OrderedDict()

    async def find(self, name: N, look: Callable[[], Awaitable[V | None]]) -> V | None:
        """Return what is held under a name, looked up again after `FRESH_SECONDS`; the old one if that fails.

        Raises:
            UnavailableError: it was never there when this process looked, and the look fails.
        """
        known = self._held.get(name)
        if known is not None and time.monotonic() - known[0] < FRESH_SECONDS:
            return known[1]
        try:
            found = await look()
        except UnavailableError:
            if known is None or known[1] is None:
                raise
            return known[1]
        keep(self._held, name, (time.monotonic(), found), most=_REMEMBERED)
        return found

    def held(self, name: N) -> V | None:
        """Return what is held under a name, however old."""
        return self._held.get(name, (0, None))[1]

    def items(self) -> Iterator[tuple[N, V]]:
        """Return everything that is held and there."""
        return ((name, value) for name, (_, value) in list(self._held.items()) if value is not None)

    def drop(self, name: N) -> None:
        """Hold a name no longer."""
        self._held.pop(name, None)


class KeyRing:
    """The keys that came lately.

    A key is looked up again after `FRESH_SECONDS`. While PostgreSQL is away, one that was valid then stays so; one that
    this process never saw cannot be judged.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Known[str, Key] = Known()
        self.used: Uses[str] = Uses(database, _USED)

    async def caller(self, text: str) -> Caller | None:
        """Return who holds a key; None if it opens nothing.

        Raises:
            UnavailableError: the key was never seen here and PostgreSQL does not answer.
        """
        token = keys.parse(text)
        if token is None:
            return None
        key = await self._known.find(token.key_id, lambda: self._look(token.key_id))
        now = datetime.now(UTC)
        # Compared in constant time, and the same for a key that is not there as for a wrong secret.
        if key is None or not hmac.compare_digest(key.secret_hash, token.secret_hash) or not key.is_valid(now):
            return None
        self.used.note(key.key_id, now)
        return Caller(key.key_id, frozenset(key.scopes), key.user_id)

    def knows(self, text: str) -> bool:
        """Whether a key of this id came before and was one."""
        token = keys.parse(text)
        return token is not None and self._known.held(token.key_id) is not None

    def forget_person(self, user_id: str) -> None:
        """Drop the keys of a person who was erased."""
        for key_id, key in self._known.items():
            if key.user_id == user_id:
                self._known.drop(key_id)
                self.used.drop(key_id)

    async def audit(self, caller: Caller, action: str, detail: str | None = None) -> None:
        """Write down what was done with a key.

        Raises:
            UnavailableError: PostgreSQL does not answer; then it must not be done.
        """
        await self._database.rows(keys.AUDIT, {"key_id": caller.key_id, "action": action, "detail": detail})

    async def _look(self, key_id: str) -> Key | None:
        rows = await self._database.rows(keys.FIND, {"key_id": key_id})
        return Key(**rows[0]) if rows else None
