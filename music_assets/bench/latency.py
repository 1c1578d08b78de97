"""How long after its acceptance an event can be seen, at a steady rate, through the running service."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from music_assets.bench import machine
from music_assets.bench.arena import Arena, placed
from music_assets.bench.figures import Spread, spread
from music_assets.bench.job_sides import with_engine
from music_assets.bench.load import Load
from music_assets.bench.report import Report, Requirement, Rows, number
from music_assets.bench.service import Service, serving
from music_assets.bench.watch import ChartWatch, OnlineWatch, SilverWatch, left_out
from music_assets.bench.workload import World, anchor_now
from music_assets.settings import child_environment
from music_assets.stack import applications, servers
from music_assets.stack.single import running
from streaming.errors import TimeoutExpiredError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from music_assets.settings import Settings

_POLL_SECONDS: Final = 0.05
_SETTLE_SECONDS: Final = 180.0
_MEMORY_SECONDS: Final = 5.0
_ITEMS: Final = 90
"""Few enough that a chart of 100 ranks holds all of them, so that what it counts can be summed."""

SILVER_LIMITS: Final[dict[str, tuple[float, float | None]]] = {"spark": (12.0, 6.0), "python": (3.0, None)}
"""Required p95 and aim in seconds by engine."""

_ONLINE_LIMIT: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        engine: `spark` or `python`.
        rate: events a second over the four event topics.
        minutes: how long, after the warm-up; with it under an hour, or events would leave the chart.
        warm_up_seconds: at the same rate, not counted.
        trending_seconds: time between charts.
    """

    engine: str = "spark"
    rate: float = 500
    minutes: float = 5
    warm_up_seconds: float = 60
    trending_seconds: float = 60


@dataclass(frozen=True, kw_only=True)
class _Watches:
    silver: SilverWatch
    chart: ChartWatch
    online: OnlineWatch

    def poll(self) -> None:
        self.silver.poll()
        self.chart.poll()
        self.online.poll()


def run(options: Options, arena: Arena, say: Callable[[str], None]) -> Report:
    """Measure.

    Args:
        options: what.
        arena: where.
        say: told what is being done.

    Raises:
        TimeoutExpiredError: accepted events never came to silver or into a chart.
    """
    facts = machine.facts()
    load = Load(arena.settings.bootstrap_servers, World(13, anchor_now(), items=_ITEMS), options.rate)
    seconds = options.warm_up_seconds + options.minutes * 60
    with arena.folder("latency") as folder:
        settings = with_engine(placed(arena.settings, folder), options.engine).model_copy(
            update={"trending_interval_seconds": options.trending_seconds}
        )
        with serving(settings, arena.home, sample_seconds=_MEMORY_SECONDS) as service, _online(settings, arena.home):
            watches = _watches(settings)
            say(f"services are up; {options.rate:g} events a second for {seconds:.0f} s")
            cpu, began = service.cpu_seconds(), time.monotonic()
            _drive(load, seconds, watches)
            cores = (service.cpu_seconds() - cpu) / (time.monotonic() - began)
            _settle(load, watches, options)
        return _report(options, facts, load, watches, service=service, cores=cores)


@contextmanager
def _online(settings: Settings, folder: Path) -> Iterator[None]:
    """Run Redis and the job that fills it while the block does."""
    features, environment = applications.features(settings), child_environment(settings)
    with running(servers.redis_server(settings), folder), running(features, folder, environment=environment):
        yield


def _watches(settings: Settings) -> _Watches:
    return _Watches(
        silver=SilverWatch(settings.storage),
        chart=ChartWatch(settings.storage),
        online=OnlineWatch(settings.redis),
    )


def _drive(load: Load, seconds: float, watches: _Watches) -> None:
    """Send, and look at everything all the while."""
    failures: list[BaseException] = []

    def send() -> None:
        try:
            load.run(seconds)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=send, name="load", daemon=True)
    thread.start()
    while thread.is_alive():
        watches.poll()
        thread.join(_POLL_SECONDS)
    if failures:
        raise failures[0]


def _settle(load: Load, watches: _Watches, options: Options) -> None:
    """Look on until the last event is in silver, and a chart of a later moment is out."""
    deadline = time.monotonic() + _SETTLE_SECONDS + options.trending_seconds
    while load.accepted.keys() - watches.silver.seen.keys() or not _charted(watches):
        if time.monotonic() > deadline:
            lost = len(load.accepted.keys() - watches.silver.seen.keys())
            raise TimeoutExpiredError(f"{lost} accepted events are not in silver, or no later chart came")
        watches.poll()
        time.sleep(_POLL_SECONDS)


def _charted(watches: _Watches) -> bool:
    ticks, counted = watches.chart.ticks, watches.silver.counted
    return bool(ticks and counted) and ticks[-1].as_of > counted[-1]


def _report(
    options: Options, facts: dict[str, Any], load: Load, watches: _Watches, *, service: Service, cores: float
) -> Report:
    begin = min(each.at for each in load.accepted.values()) + options.warm_up_seconds
    late = {name: each for name, each in load.accepted.items() if each.at >= begin}
    delays, missing = watches.online.delays(late)
    found = {
        "silver": spread([max(0.0, watches.silver.seen[name] - each.at) for name, each in late.items()]),
        "Redis": spread(delays),
    }
    lacking = left_out(watches.chart.ticks, watches.silver.counted)
    return Report(
        mode="latency",
        machine=facts,
        options=asdict(options),
        measured={
            "accepted": len(load.accepted),
            "counted": len(late),
            "seconds": {name: asdict(each) if each else None for name, each in found.items()},
            "never_in_redis": missing,
            "charts": [
                {**asdict(tick), "lacks": lacks} for tick, lacks in zip(watches.chart.ticks, lacking, strict=True)
            ],
            "service_cores": cores,
            "memory_mb": service.memory,
        },
        requirements=_requirements(options, found, lacking, missing=missing),
        tables=[_table(found, cores=cores, peak_mb=service.peak_mb)],
    )


def _requirements(
    options: Options, found: dict[str, Spread | None], lacking: list[int], *, missing: int
) -> list[Requirement]:
    limit, aim = SILVER_LIMITS[options.engine]
    silver, redis = found["silver"], found["Redis"]
    return [
        Requirement(
            name=f"accepted to silver, p95 s, {options.engine}", value=silver.p95 if silver else None, limit=limit,
            aim=aim, direction="at most",
        ),
        Requirement(
            name="accepted to Redis, p95 s", value=redis.p95 if redis else None, limit=_ONLINE_LIMIT,
            direction="at most",
        ),
        Requirement(name="events that never came to Redis", value=float(missing), limit=0, direction="at most"),
        Requirement(
            name="events a chart lacks", value=float(max(lacking)) if lacking else None, limit=0, direction="at most",
            note=f"{len(lacking)} charts; of the events in silver before the moment each is of",
        ),
    ]  # fmt: skip


def _table(found: dict[str, Spread | None], *, cores: float, peak_mb: float) -> Rows:
    rows = [
        (
            f"accepted to {name}",
            f"{each.count:,}",
            *(number(value) for value in (each.p50, each.p95, each.p99, each.max)),
        )
        for name, each in found.items()
        if each is not None
    ]
    title = f"Seconds; the service takes {cores:.2f} cores and at most {peak_mb:,.0f} MiB"
    return Rows(title=title, columns=("way", "events", "p50", "p95", "p99", "max"), rows=rows)
