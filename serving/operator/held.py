"""The operator's answers: made off the event loop within a budget, and kept in case a part goes away."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeVar

from deltalake.exceptions import DeltaError

from serving.lately import keep
from streaming.errors import IntegrityError, TimeoutExpiredError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from serving.operator.schemas import Dated

A = TypeVar("A", bound="Dated")
T = TypeVar("T")

_SECONDS: Final = 8.0
_FRESH_SECONDS: Final = 2.0
"""Pages of several operators that look at once are one look."""
_AT_ONCE: Final = 2
_MOST: Final = 32


class Held:
    """Answers by what was asked."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._working = asyncio.Semaphore(_AT_ONCE)

    async def answer(self, name: Hashable, make: Callable[[], A], *, forget: bool = False) -> A:
        """Return what is made now, or what was made last, marked as degraded, if a part does not answer.

        Args:
            name: what is asked.
            make: finds it out; it may block.
            forget: do not keep the answer: there is no end of such questions.

        Raises:
            UnavailableError: a part does not answer, and never did to this.
            TimeoutExpiredError: it took too long, and always did.
        """
        at, held = self._answers.get(name, (0.0, None))
        last: A | None = held
        if last is not None and time.monotonic() - at < _FRESH_SECONDS:
            return last
        try:
            found = await self.work(make)
        except (UnavailableError, TimeoutExpiredError):
            if last is None:
                raise
            return last.model_copy(update={"degraded": True})
        if not forget:
            keep(self._answers, name, (time.monotonic(), found), most=_MOST)
        return found

    async def work(self, make: Callable[[], T]) -> T:
        """Return what a function that may block returns.

        Raises:
            UnavailableError: a part does not answer, or what it says cannot be read.
            TimeoutExpiredError: it took too long.
        """
        try:
            async with asyncio.timeout(_SECONDS), self._working:
                return await asyncio.to_thread(make)
        except TimeoutError as error:
            raise TimeoutExpiredError(f"this was not found out within {_SECONDS:g} s; try again later") from error
        except (DeltaError, OSError) as error:
            raise UnavailableError(f"the lake cannot be read now ({type(error).__name__}); try again later") from error
        except IntegrityError as error:
            raise UnavailableError(str(error)) from error
