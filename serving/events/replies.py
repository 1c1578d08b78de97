"""Answers to requests that were named: the same request again gets the answer of the first time.

A help, not the promise: that an event is stored once is decided by its id. While Redis is away a repeated request is
carried out again, and its events are duplicates.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from fastapi.exceptions import HTTPException

from serving.events.service import ANSWER
from serving.wire import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from serving.access.callers import Caller
    from serving.cache import Cache


class _Kept(msgspec.Struct):
    body: str
    answer: ANSWER


_decode: Final = msgspec.json.Decoder(_Kept).decode


class Replies:
    """Answers by the name of their request, each caller's for themselves."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def once(self, name: str | None, asker: Caller, body: bytes, carry_out: Callable[[], Awaitable[Any]]) -> Any:
        """Return the answer that was given under this name, or carry the request out and keep its answer.

        Args:
            name: of the request; without one it is carried out.
            asker: whose request.
            body: of it.
            carry_out: does it.

        Raises:
            HTTPException: another request had this name.
        """
        if name is None:
            return await carry_out()
        digest, place = hashlib.sha256(body).hexdigest(), f"{asker.key_id}:{name}"
        if (found := await self._cache.reply(place)) is not None:
            kept = _decode(found)
            if kept.body != digest:
                raise HTTPException(HTTPStatus.CONFLICT, "another request had this Idempotency-Key: give each its own")
            return kept.answer
        answer = await carry_out()
        # What only waits on a disk here may be told better the next time.
        if not answer.spooled:
            await self._cache.keep_reply(place, encode(_Kept(digest, answer)))
        return answer
