"""The two-stage path at a steady rate, alone and while the warehouse is built on the same machine and PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from music_assets.bench import machine, serve_world, warehouse
from music_assets.bench.figures import spread
from music_assets.bench.http_load import Answers, paced
from music_assets.bench.report import Report
from music_assets.bench.serve_place import CONNECTIONS, in_time, none_failed, served, strangers, times

if TYPE_CHECKING:
    from collections.abc import Iterable

    from music_assets.bench.arena import Arena
    from music_assets.bench.serve_place import Place

_CHUNK_SECONDS: Final = 5.0
"""After so long it is looked whether the build still runs."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        listeners: with a history in Redis.
        items: of the catalogue.
        rate: requests a second.
        seconds: of the run alone; the other takes as long as the build.
        listens: in the warehouse that is built.
    """

    listeners: int = 50_000
    items: int = 50_000
    rate: float = 200
    seconds: float = 20
    listens: int = 1_000_000


@dataclass
class _Run:
    """What was answered while something else went on, or nothing."""

    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0

    def take(self, answers: Answers) -> None:
        """Add some."""
        self.milliseconds += [1000 * each for each in answers.seconds]
        self.failed += answers.failed


def run(options: Options, arena: Arena, say: Callable[[str], None]) -> Report:
    """Measure.

    Raises:
        MusicError: a part does not start, or the build fails.
    """
    facts = machine.facts()
    with (
        served(arena, listeners=options.listeners, items=options.items, say=say) as api,
        arena.folder("warehouse") as folder,
    ):
        questions = strangers(serve_world.users(options.listeners), after=0)
        say(f"filling: {options.listens:,} listens of the warehouse")
        settings = warehouse.fresh(arena.settings, options.listens, folder)
        warehouse.filled(settings, options.listens)
        say(f"{options.rate:g} requests a second for {options.seconds:g} s")
        alone = _asked(api, questions, options.rate, _times(options.seconds))
        say(f"{options.rate:g} requests a second while dbt builds")
        with ThreadPoolExecutor(1) as pool:
            began = time.monotonic()
            building = pool.submit(warehouse.build, settings, folder)
            during = _asked(api, questions, options.rate, _until_done(building))
            building.result()
        seconds = time.monotonic() - began
    return _report(options, facts, {"alone": alone, "during a dbt build": during}, seconds)


def _times(seconds: float) -> Iterable[object]:
    return range(max(round(seconds / _CHUNK_SECONDS), 1))


def _until_done(work: Future[None]) -> Iterator[object]:
    while not work.done():
        yield work


def _asked(api: Place, questions: Iterator[bytes], rate: float, times: Iterable[object]) -> _Run:
    """Ask at a steady rate, some seconds for each of `times`."""
    found = _Run()
    for _ in times:
        requests = [next(questions) for _ in range(int(rate * _CHUNK_SECONDS))]
        found.take(asyncio.run(paced(api.port, requests, rate=rate, seconds=_CHUNK_SECONDS, connections=CONNECTIONS)))
    return found


def _report(options: Options, facts: dict[str, Any], runs: dict[str, _Run], seconds: float) -> Report:
    took = {name: spread(each.milliseconds) for name, each in runs.items()}
    requirements = [in_time(f"two_stage p99 in ms, {name}", each, options.rate) for name, each in took.items()]
    failed = sum(each.failed for each in runs.values())
    return Report(
        mode="serve dbt", machine=facts, options=asdict(options),
        measured={
            "build_seconds": seconds, "failed": failed,
            "ms": {name: asdict(each) if each else None for name, each in took.items()},
        },
        requirements=[*requirements, none_failed(failed)],
        tables=[
            times(f"Milliseconds; the build of {options.listens:,} listens took {seconds:.0f} s", "two_stage", took),
        ],
    )  # fmt: skip
