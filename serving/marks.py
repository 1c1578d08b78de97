"""Marks of the events that were accepted within a day: a hint to who sends one again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.dependency import Dependency
    from serving.line import Line

    _Waiting = list[tuple[bytes, asyncio.Future[list[bool] | None]]]

SECONDS: Final = 86_400
_BYTES: Final = 16
_SCRIPT: Final = f"""
local seen = {{}}
for at = 1, #ARGV[1], {_BYTES} do
    local name = 'event:' .. string.sub(ARGV[1], at, at + {_BYTES - 1})
    seen[#seen + 1] = redis.call('SET', name, 1, 'NX', 'EX', ARGV[2]) and 0 or 1
end
return seen
"""
"""One command for many, and one text of all their digests: as many SETs cost this process ten times the CPU, as many
arguments four times."""


class Marks:
    """Marks ids; those of all requests that come within a turn of the loop with one command.

    Args:
        line: to Redis.
        dependency: its state.
    """

    def __init__(self, line: Line, dependency: Dependency) -> None:
        self._line = line
        self._dependency = dependency
        self._waiting: _Waiting = []
        self._running: set[asyncio.Task[None]] = set()

    async def mark(self, event_ids: Sequence[str]) -> list[bool] | None:
        """Mark acknowledged events and return which of them were marked before; None when Redis is away.

        Only a hint: the mark may be lost, and silver alone decides what a duplicate is.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[bool] | None] = loop.create_future()
        digests = b"".join([blake2b(each.encode(), digest_size=_BYTES).digest() for each in event_ids])
        self._waiting.append((digests, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._begin)
        return await answer

    def _begin(self) -> None:
        task = asyncio.create_task(self._mark(self._waiting))
        self._waiting = []
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _mark(self, waiting: _Waiting) -> None:
        seen: list[int] | None = None
        try:
            with suppress(UnavailableError), self._dependency.watched():
                seen = await self._line.ask("EVAL", _SCRIPT, 0, b"".join([each for each, _ in waiting]), SECONDS)
        finally:
            _tell(waiting, seen)


def _tell(waiting: _Waiting, seen: list[int] | None) -> None:
    start = 0
    for digests, answer in waiting:
        end = start + len(digests) // _BYTES
        if not answer.done():
            answer.set_result(None if seen is None else list(map(bool, seen[start:end])))
        start = end
