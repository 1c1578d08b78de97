"""The stream service as a process of its own, and how much memory it takes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from music_assets.bench.machine import cpu_seconds
from music_assets.bench.memory import sampled
from music_assets.settings import child_environment
from music_assets.stack import applications
from music_assets.stack.single import running
from streaming.errors import TimeoutExpiredError, UnavailableError
from streaming.lake import Lake
from streaming.ledger import end_offsets, lag
from streaming.topics.admin import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from music_assets.bench.memory import Curve
    from music_assets.settings import Settings

_GRACE_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 1.0


@dataclass
class Service:
    """A running service.

    Attributes:
        pid: of its process; Spark's JVM is a child of it.
        memory: of the process tree since its start.
    """

    pid: int
    memory: Curve

    @property
    def peak_mb(self) -> float:
        """Most memory of the process tree at once, in MiB."""
        return max((sum(each.values()) for _, each in self.memory), default=0.0)

    def cpu_seconds(self) -> float:
        """Return the processor time of the process tree so far."""
        return cpu_seconds(self.pid)


@contextmanager
def serving(settings: Settings, folder: Path, *, sample_seconds: float) -> Iterator[Service]:
    """Run all jobs; they end in order with the block.

    Args:
        settings: of the service.
        folder: of its log.
        sample_seconds: time between two looks at its memory.

    Raises:
        StackError: it does not start.
        UnavailableError: it ended before the block did.
    """
    part = applications.streams(settings)
    with running(part, folder, environment=child_environment(settings), grace_seconds=_GRACE_SECONDS) as process:
        with sampled(process.pid, every_seconds=sample_seconds) as memory:
            yield Service(process.pid, memory)
        if process.poll() is not None:
            raise UnavailableError(f"the stream service ended with {process.returncode} while it was measured")


def behind(settings: Settings) -> int:
    """Return how many positions on the broker the ledger does not cover yet."""
    ends = end_offsets(Lake(settings.storage))
    return sum(lag(state, ends) for state in describe(settings.bootstrap_servers).values())


def wait_until_current(
    settings: Settings, *, seconds: float, look: Callable[[int], object] = lambda _left: None
) -> float:
    """Wait until the ledger covers all that is on the broker; return the seconds it took.

    Args:
        settings: of the broker and the lake.
        seconds: to wait at most.
        look: told how many positions are left, whenever that changes.

    Raises:
        TimeoutExpiredError: it did not get there in time.
    """
    started, before = time.monotonic(), -1
    while left := behind(settings):
        if left != before:
            look(left)
        before = left
        if time.monotonic() - started > seconds:
            raise TimeoutExpiredError(f"silver is {left} messages behind after {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - started
