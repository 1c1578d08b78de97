"""How often somebody may ask: a sliding minute, counted in Redis for all processes, here while Redis is away.

The minute that ends now is estimated from the counts of two minutes of the clock, the present one and the share of the
last one that lies within: two numbers a caller, and no burst of twice the limit where two minutes meet. One round trip
counts and tells what is left. A request that is refused is not counted, so that who waits gets in again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from serving.cache import digest
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from serving.cache import Cache

WINDOW_SECONDS: Final = 60
_MOST: Final = 50_000
"""Callers counted here at once; beyond, all are forgotten: it stands in for minutes."""


class Standing(NamedTuple):
    """How somebody stands: the limit, what is left of it, seconds to the next window, and whether this was too many."""

    limit: int
    remaining: int
    reset_seconds: int
    exceeded: bool


class Limiter:
    """Counts requests of keys and of addresses."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._counts: dict[str, int] = {}

    async def count(self, kind: str, who: str, limit: int, *, window: int = WINDOW_SECONDS) -> Standing:
        """Count a request and return how its sender stands; never fails.

        Args:
            kind: what is counted, such as `key` or `ip`.
            who: the key's id or the address; only a hash of it is stored.
            limit: requests within the window.
            window: seconds.
        """
        now = time.time()
        turn = int(now // window)
        share = 1 - (now % window) / window
        name = digest(f"rate:{kind}", who)
        names = (f"{name}:{turn - 1}", f"{name}:{turn}")
        try:
            used, counted = await self._cache.count(*names, share=share, limit=limit, seconds=2 * window)
        except UnavailableError:
            used, counted = self._count_here(*names, share=share, limit=limit)
        reset = window - int(now % window)
        return Standing(limit, max(0, limit - used), reset, exceeded=not counted)

    def _count_here(self, last: str, current: str, *, share: float, limit: int) -> tuple[int, bool]:
        used = int(self._counts.get(last, 0) * share) + self._counts.get(current, 0)
        if used >= limit:
            return used, False
        if len(self._counts) >= _MOST:
            self._counts.clear()
        self._counts[current] = self._counts.get(current, 0) + 1
        return used + 1, True
