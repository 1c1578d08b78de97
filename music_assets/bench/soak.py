"""A steady load for a while: whether the service's memory stays where it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from music_assets.bench import machine, memory
from music_assets.bench.arena import Arena, placed
from music_assets.bench.job_sides import check, with_engine
from music_assets.bench.load import Load
from music_assets.bench.report import Report
from music_assets.bench.service import serving, wait_until_current
from music_assets.bench.workload import Truth, World, anchor_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from music_assets.bench.memory import Flatness

_SAMPLE_SECONDS: Final = 5.0
_CURRENT_SECONDS: Final = 120.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        engine: `spark` or `python`.
        rate: events a second over the four event topics.
        minutes: how long.
        warm_up_seconds: before them, at the same rate and not counted: until then the JVM compiles what it runs often,
            loads classes and sizes its heap, and each of these ends by itself.
    """

    engine: str = "spark"
    rate: float = 2000
    minutes: float = 15
    warm_up_seconds: float = 480


def run(options: Options, arena: Arena, say: Callable[[str], None]) -> Report:
    """Measure.

    Args:
        options: what.
        arena: where.
        say: told what is being done.

    Raises:
        TimeoutExpiredError: silver is not current two minutes after the load's end.
        IntegrityError: the ledger counts something else than was sent.
    """
    facts = machine.facts()
    load = Load(arena.settings.bootstrap_servers, World(19, anchor_now()), options.rate, remember=False)
    with arena.folder("soak") as folder:
        settings = with_engine(placed(arena.settings, folder), options.engine)
        with serving(settings, arena.home, sample_seconds=_SAMPLE_SECONDS) as service:
            seconds = options.warm_up_seconds + options.minutes * 60
            say(f"service is up; {options.rate:g} events a second for {seconds / 60:g} minutes")
            begun, cpu = service.memory[-1][0] if service.memory else 0.0, service.cpu_seconds()
            load.run(seconds)
            samples = list(service.memory)
            cores = (service.cpu_seconds() - cpu) / seconds
            left = wait_until_current(settings, seconds=_CURRENT_SECONDS)
        check(settings, Truth(stored=load.taken, duplicate=0, dead_lettered=0))
    measured = {"accepted": load.taken, "seconds_to_current": left, "service_cores": cores, "memory_mb": samples}
    warm = [each for each in samples if each[0] >= begun + options.warm_up_seconds]
    return _report(options, facts, measured, memory.by_program(warm))


def _report(options: Options, facts: dict[str, Any], measured: dict[str, Any], found: dict[str, Flatness]) -> Report:
    title = f"{measured['accepted']:,} events; the service takes {measured['service_cores']:.2f} cores"
    return Report(
        mode="soak",
        machine=facts,
        options=asdict(options),
        measured={**measured, "warm": {name: asdict(each) for name, each in found.items()}},
        requirements=[memory.stays(found)],
        tables=[memory.rows(title, found)],
    )
