"""One timed run of one side."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog

from music_assets.bench.figures import median

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_QUIET: Final = frozenset({"debug", "info"})
"""Log lines that would only disturb a screen of figures."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a side says of its own run.

    Attributes:
        rows: messages or rows it took in.
        batch_seconds: seconds within its batches, where it works in batches.
        phases: seconds by phase, where it tells.
    """

    rows: int
    batch_seconds: float | None = None
    phases: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A timed run.

    Attributes:
        seconds: of the whole run, its start included.
        cpu_seconds: processor time of this process and its children, the broker's not counted.
        outcome: what the side says.
    """

    seconds: float
    cpu_seconds: float
    outcome: Outcome

    @property
    def rate(self) -> float:
        """Rows a second of the whole run."""
        return self.outcome.rows / self.seconds

    @property
    def batch_rate(self) -> float | None:
        """Rows a second within the batches."""
        return self.outcome.rows / self.outcome.batch_seconds if self.outcome.batch_seconds else None

    @property
    def cpu_rate(self) -> float:
        """Rows per CPU-second."""
        return self.outcome.rows / max(self.cpu_seconds, 1e-9)


def timed(work: Callable[[], Outcome], clock: Callable[[], float]) -> Sample:
    """Run some work once.

    Args:
        work: what to time.
        clock: gives the processor time so far.
    """
    cpu, started = clock(), time.monotonic()
    outcome = work()
    return Sample(seconds=time.monotonic() - started, cpu_seconds=clock() - cpu, outcome=outcome)


def rate(samples: Sequence[Sample]) -> float | None:
    """Return the median rate of whole runs, in rows a second."""
    return median([each.rate for each in samples])


def batch_rate(samples: Sequence[Sample]) -> float | None:
    """Return the median rate within the batches, in rows a second."""
    return median([each.batch_rate for each in samples if each.batch_rate is not None])


def cpu_rate(samples: Sequence[Sample]) -> float | None:
    """Return the median of the rows per CPU-second."""
    return median([each.cpu_rate for each in samples])


def phases(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the median seconds of each phase."""
    names = dict.fromkeys(name for each in samples for name in each.outcome.phases)
    return {name: median([each.outcome.phases.get(name, 0.0) for each in samples]) or 0.0 for name in names}


@contextmanager
def told_batches(query: str) -> Iterator[list[dict[str, Any]]]:
    """Collect what a job logs of each batch it commits while the block runs.

    Args:
        query: name of the job.
    """
    batches: list[dict[str, Any]] = []
    remembered: list[float] = []

    def keep(_logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if event.get("event") == "batch_committed" and event.get("query") == query:
            batches.append(dict(event))
        if event.get("event") == "claims_remembered" and event.get("query") == query:
            remembered.append(float(event["seconds"]))
        if method in _QUIET or event.get("event") == "dead_letter":
            raise structlog.DropEvent
        return event

    # The list itself is changed, because loggers that are bound already hold on to it.
    processors = structlog.get_config()["processors"]
    processors.insert(0, keep)
    try:
        yield batches
    finally:
        processors.remove(keep)
    # It is done beside the next batch, and costs what it costs.
    for batch, seconds in zip(batches, remembered, strict=False):
        batch["phases"] = {**batch["phases"], "claims": seconds}


def phase_sums(batches: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the seconds of each phase over batches; empty when none tells."""
    sums: Counter[str] = Counter()
    for batch in batches:
        sums.update(batch.get("phases") or {})
    return dict(sums)
