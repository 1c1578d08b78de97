"""A backlog in Kafka: how long the service takes to be current, by itself, and with how much memory."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc

from music_assets.bench import machine
from music_assets.bench.arena import Arena, placed, produce
from music_assets.bench.job_sides import charted_tables, check, with_engine
from music_assets.bench.report import Report, Requirement, Rows, number
from music_assets.bench.service import Service, serving, wait_until_current
from music_assets.bench.watch import ChartWatch
from music_assets.bench.workload import Stream, World, anchor_now
from streaming.errors import TimeoutExpiredError
from streaming.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable

    from music_assets.bench.watch import Tick
    from music_assets.settings import Settings

MEMORY_LIMIT_MB: Final = 3072.0
_SPAN_SECONDS: Final = 2 * 86_400
_ITEMS: Final = 90
_HOUR: Final = timedelta(hours=1)
_LEAST_RATE: Final = 2_000
"""Messages a second below which the wait is given up."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        engine: `spark` or `python`.
        events: messages that wait.
        produce_rate: messages a second at most that are put there.
        trending_seconds: time between charts.
    """

    engine: str = "spark"
    events: int = 5_000_000
    produce_rate: float = 100_000
    trending_seconds: float = 60


def run(options: Options, arena: Arena, say: Callable[[str], None]) -> Report:
    """Measure.

    Args:
        options: what.
        arena: where.
        say: told what is being done.

    Raises:
        TimeoutExpiredError: silver or the chart never became current.
        IntegrityError: the ledger counts something else than was sent.
    """
    facts = machine.facts()
    stream = Stream(world=World(17, anchor_now(), span_seconds=_SPAN_SECONDS, items=_ITEMS), count=options.events)
    seconds = produce(arena.settings.bootstrap_servers, stream.chunks(), rate=options.produce_rate)
    say(f"{options.events:,} messages wait in Kafka, put there at {options.events / seconds:,.0f} a second")
    with arena.folder("catchup") as folder:
        settings = with_engine(placed(arena.settings, folder), options.engine).model_copy(
            update={"trending_interval_seconds": options.trending_seconds}
        )
        started = time.monotonic()
        with serving(settings, arena.home, sample_seconds=1) as service:
            ready = time.monotonic() - started
            patience = 120 + options.events / _LEAST_RATE
            wait_until_current(settings, seconds=patience, look=lambda left: say(f"{left:,} left"))
            in_silver = time.monotonic() - started
            tick = _next_chart(settings, seconds=options.trending_seconds + 120)
            in_gold = time.monotonic() - started
            cpu = service.cpu_seconds()
        check(settings, stream.truth)
        times = {"ready": ready, "silver": in_silver, "gold": in_gold}
        return _report(options, facts, times, service, lacks=_of_the_hour(settings, tick) - tick.events, cpu=cpu)


def _next_chart(settings: Settings, *, seconds: float) -> Tick:
    """Wait for a chart of a moment after now."""
    now, deadline = datetime.now(UTC).timestamp(), time.monotonic() + seconds
    watch = ChartWatch(settings.storage)
    while not watch.ticks or watch.ticks[-1].as_of < now:
        if time.monotonic() > deadline:
            raise TimeoutExpiredError(f"no chart came within {seconds:.0f} s after silver was current")
        time.sleep(0.2)
        watch.poll()
    return watch.ticks[-1]


def _of_the_hour(settings: Settings, tick: Tick) -> int:
    """How many of silver's events belong into a chart."""
    lake, since = Lake(settings.storage), datetime.fromtimestamp(tick.as_of, UTC) - _HOUR
    recent = pc.field("timestamp") > since
    return sum(lake.read(table, ["event_id"], recent).num_rows for table in charted_tables())


def _report(
    options: Options, facts: dict[str, Any], times: dict[str, float], service: Service, *, lacks: int, cpu: float
) -> Report:
    work = times["silver"] - times["ready"]
    rows = [
        ("start to ready", number(times["ready"], 1), ""),
        ("start to current silver", number(times["silver"], 1), f"{options.events / times['silver']:,.0f} events/s"),
        ("ready to current silver", number(work, 1), f"{options.events / max(work, 1):,.0f} events/s"),
        ("start to current chart", number(times["gold"], 1), f"one every {options.trending_seconds:g} s"),
    ]
    title = f"Catch-up of {options.events:,} events; at most {service.peak_mb:,.0f} MiB, {cpu:,.0f} CPU-s"
    return Report(
        mode="catchup",
        machine=facts,
        options=asdict(options),
        measured={"seconds": times, "cpu_seconds": cpu, "peak_mb": service.peak_mb, "memory_mb": service.memory},
        requirements=[
            Requirement(
                name="peak memory of the stream process, MiB", value=service.peak_mb, limit=MEMORY_LIMIT_MB,
                direction="at most", note="sum of PSS over the process tree, once a second",
            ),
            Requirement(name="events the chart lacks", value=float(lacks), limit=0, direction="at most"),
        ],
        tables=[Rows(title=title, columns=("", "seconds", ""), rows=rows)],
    )  # fmt: skip
