"""Carries out what a person asks about their own data, as far as it can be done at once."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
from fastapi.exceptions import HTTPException

from music_assets import erasures
from music_assets.erasures import Erasure
from serving.privacy.schemas import ErasureAnswer
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from uuid import UUID

    from serving.access.callers import Caller, KeyRing
    from serving.access.sessions import Sessions
    from serving.database import Database
    from serving.identity.service import Identity
    from serving.plays.feed import Feed
    from serving.privacy.choices import Choices
    from serving.recommend.ready import Ready
    from serving.spool import Spool

_SECONDS: Final = 5.0

_log = structlog.get_logger()


class Privacy:
    """Erasure, pause and hidden items."""

    def __init__(
        self, database: Database, *, identity: Identity, choices: Choices, keys: KeyRing, sessions: Sessions,
        feed: Feed, spool: Spool, ready: Ready,
    ) -> None:  # fmt: skip
        self._database = database
        self._identity = identity
        self._choices = choices
        self._keys = keys
        self._sessions = sessions
        self._feed = feed
        self._spool = spool
        self._ready = ready

    async def listener(self, user_id: str) -> str:
        """Return the listener id of a user.

        Raises:
            HTTPException: nobody of this user id is known.
            UnavailableError: PostgreSQL does not answer and the user was not met lately.
        """
        found = await self._identity.resolve([user_id], create=False)
        if user_id in found.listeners:
            return found.listeners[user_id]
        if not found.complete:
            raise UnavailableError("the store of identities does not answer; try again later")
        raise HTTPException(HTTPStatus.NOT_FOUND, "nobody of this user id is known here")

    async def erase(self, user_id: str, caller: Caller) -> ErasureAnswer:
        """Make a person unknown at once and leave the rest to a run.

        Raises:
            HTTPException: nobody of this user id is known.
            UnavailableError: PostgreSQL or the spool does not answer; nothing was done.
        """
        # Before the mapping goes: a failure here must leave a request that can be repeated.
        await self._spool.forget([user_id])
        rows = await self._database.rows(erasures.REQUEST, {"user_id": user_id}, seconds=_SECONDS)
        await self._identity.forget(user_id)
        self._keys.forget_person(user_id)
        self._sessions.forget_person(user_id)
        if not rows:
            raise HTTPException(HTTPStatus.NOT_FOUND, "nobody of this user id is known here")
        erasure_id, listener_id = rows[0]["erasure_id"], rows[0]["listener_id"]
        self._choices.forget(listener_id)
        self._feed.end(listener_id)
        self._ready.forget(listener_id)
        await self._spool.forget([listener_id])
        await self._audit(caller, "erasure requested", str(erasure_id))
        return await self.erasure(erasure_id)

    async def erasure(self, erasure_id: UUID) -> ErasureAnswer:
        """Return how far an erasure is.

        Raises:
            HTTPException: there is none of this id.
            UnavailableError: PostgreSQL does not answer.
        """
        rows = await self._database.rows(erasures.GET, {"erasure_id": erasure_id})
        if not rows:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no erasure {erasure_id}")
        return _answer(Erasure(**rows[0]))

    async def pause(self, user_id: str, caller: Caller, *, paused: bool) -> None:
        """Take nothing in of a person from now on, or again.

        Raises:
            HTTPException: nobody of this user id is known.
            UnavailableError: PostgreSQL does not answer.
        """
        listener_id = await self.listener(user_id)
        await self._choices.pause(listener_id, paused=paused)
        if paused:
            self._feed.end(listener_id)
        await self._audit(caller, "paused" if paused else "resumed", None)

    async def hide(self, user_id: str, item_id: str, *, hidden: bool) -> None:
        """Keep an item from a person's recommendations, or no longer.

        Raises:
            HTTPException: nobody of this user id is known.
            UnavailableError: PostgreSQL does not answer.
        """
        await self._choices.hide(await self.listener(user_id), item_id, hidden=hidden)

    async def _audit(self, caller: Caller, action: str, detail: str | None) -> None:
        """Write down what was done; what cannot be undone is not answered with an error."""
        try:
            await self._keys.audit(caller, action, detail)
        except UnavailableError:
            _log.warning("audit not written", key_id=caller.key_id, action=action)


def _answer(found: Erasure) -> ErasureAnswer:
    kafka = [moment for store, moment in found.gone_at.items() if store.startswith("kafka/") and moment is not None]
    return ErasureAnswer.model_validate(
        {
            "erasure_id": found.erasure_id, "status": found.status, "hidden_at": found.hidden_at,
            "gone_at": found.gone_at, "rows": found.rows, "error": found.error,
            "kafka_gone_at": max(kafka, default=None),
        }
    )  # fmt: skip
