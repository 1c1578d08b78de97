"""Whether a part behind the API answers: what `/health` tells, and what keeps requests from waiting for a dead one."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import structlog

from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

State = Literal["unknown", "up", "down"]

_log = structlog.get_logger()


class Dependency:
    """One part's state, and a breaker: while it is down, one call per `retry_seconds` tries, the others fail at once.

    Args:
        name: for people, such as `redis`.
        errors: exceptions of its client that mean it does not answer.
        retry_seconds: time between two tries.
    """

    def __init__(self, name: str, errors: tuple[type[Exception], ...] = (), *, retry_seconds: float = 1) -> None:
        self.name = name
        self.state: State = "unknown"
        self.since = datetime.now(UTC)
        self.detail: str | None = None
        self._errors: tuple[type[Exception], ...] = (TimeoutError, OSError, *errors)
        self._retry_seconds = retry_seconds
        self._retry_at = 0.0

    def allows(self) -> bool:
        """Whether a call may try now; a down part's next try is then taken."""
        if self.state != "down":
            return True
        now = time.monotonic()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._retry_seconds
        return True

    def up(self) -> None:
        """Note that it answered."""
        self._become("up", None)

    def down(self, detail: str) -> None:
        """Note that it did not answer, and why."""
        self._retry_at = time.monotonic() + self._retry_seconds
        self._become("down", detail)

    @asynccontextmanager
    async def call(self, seconds: float, *, check: bool = False) -> AsyncIterator[None]:
        """Run a call within its time.

        Args:
            seconds: the call's time budget.
            check: try in any case, as the health check does.

        Raises:
            UnavailableError: it does not answer, or did not a moment ago.
        """
        if not check and not self.allows():
            raise UnavailableError(f"{self.name} does not answer; it is tried again every {self._retry_seconds:g} s")
        try:
            async with asyncio.timeout(seconds):
                yield
        except self._errors as error:
            # The class alone: a driver's message may quote the value that a person sent.
            self.down(type(error).__name__)
            raise UnavailableError(f"{self.name} does not answer: {type(error).__name__}") from error
        self.up()

    def _become(self, state: State, detail: str | None) -> None:
        self.detail = detail
        if state != self.state:
            _log.info("dependency changed", dependency=self.name, before=self.state, now=state, detail=detail)
            self.state, self.since = state, datetime.now(UTC)
