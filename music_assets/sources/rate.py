"""How often a source may be asked: one token bucket per source in a process."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Bucket:
    """A token bucket: `burst` requests at once, then `per_second` of them.

    Args:
        per_second: tokens that come back each second, above 0.
        burst: tokens it holds at most, at least 1.
        clock: seconds that only grow.
    """

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take one token and return the seconds to wait before it may be used."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
            self._at = now
            # The debt orders those who wait: each next one waits a token longer.
            self._tokens -= 1
            return max(0.0, -self._tokens / self._per_second)


@cache
def bucket(source: str, per_second: float, burst: int) -> Bucket:  # noqa: ARG001 - the name is the key of the cache
    """Return the bucket that every fetcher of `source` in this process shares."""
    return Bucket(per_second, burst)
