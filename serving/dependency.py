"""Whether a part behind the API answers: what `/health` tells, and what keeps requests from waiting for a dead one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import structlog

from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

State = Literal["unknown", "up", "down"]

_log = structlog.get_logger()


class Dependency:
    """One part's state, and a breaker: while it is down calls fail at once, and only the health check tries it.

    A request that tried would wait for a part that stands still, and be the slow one of its second.

    Args:
        name: for people, such as `redis`.
        errors: exceptions of its client that mean it does not answer.
    """

    def __init__(self, name: str, errors: tuple[type[Exception], ...] = ()) -> None:
        self.name = name
        self.state: State = "unknown"
        self.since = datetime.now(UTC)
        self.detail: str | None = None
        self._errors: tuple[type[Exception], ...] = (TimeoutError, OSError, *errors)

    def allows(self) -> bool:
        """Whether a call may try now."""
        return self.state != "down"

    def up(self) -> None:
        """Note that it answered."""
        self._become("up", None)

    def down(self, detail: str) -> None:
        """Note that it did not answer, and why."""
        self._become("down", detail)

    @contextmanager
    def watched(self, *, check: bool = False) -> Iterator[None]:
        """Run what keeps its time by itself.

        Args:
            check: try in any case, as the health check does.

        Raises:
            UnavailableError: it does not answer, or did not a moment ago.
        """
        if not check and not self.allows():
            raise UnavailableError(f"{self.name} does not answer; it is tried again all the time")
        try:
            yield
        except self._errors as error:
            # The class alone: a driver's message may quote the value that a person sent.
            self.down(type(error).__name__)
            raise UnavailableError(f"{self.name} does not answer: {type(error).__name__}") from error
        self.up()

    @asynccontextmanager
    async def call(self, seconds: float, *, check: bool = False) -> AsyncIterator[None]:
        """Run a call within its time.

        Args:
            seconds: the call's time budget.
            check: try in any case, as the health check does.

        Raises:
            UnavailableError: it does not answer, or did not a moment ago.
        """
        with self.watched(check=check):
            async with asyncio.timeout(seconds):
                yield

    def _become(self, state: State, detail: str | None) -> None:
        self.detail = detail
        if state != self.state:
            _log.info("dependency changed", dependency=self.name, before=self.state, now=state, detail=detail)
            self.state, self.since = state, datetime.now(UTC)
