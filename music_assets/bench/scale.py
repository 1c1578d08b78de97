"""The whole silver job on new messages where little and where much is stored, its index warm and cold."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from music_assets.bench import job_sides, machine
from music_assets.bench.arena import Arena, placed, produce
from music_assets.bench.figures import alternated, ratio
from music_assets.bench.history import fill
from music_assets.bench.report import Report, Requirement, Rows, number
from music_assets.bench.sample import Sample, batch_rate, cpu_rate, phases, rate, timed
from music_assets.bench.workload import Stream, Truth, World, anchor_now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession

    from music_assets.settings import Settings

_LIMIT: Final = 0.85
_NEVER_CHANGED: Final = frozenset({".parquet", ".sst"})
"""Suffixes of files that are written once: a copy may share them."""

Samples = dict[tuple[int, str], list[Sample]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        engine: `spark` or `python`.
        sizes: stored rows of each lake, the smallest first.
        events: new messages.
        repeat: timed runs of each size and temperature, after one that is not timed.
    """

    engine: str = "spark"
    sizes: Sequence[int] = (1_000_000, 20_000_000)
    events: int = 600_000
    repeat: int = 5


@dataclass(frozen=True, kw_only=True)
class _Lake:
    """A filled lake that runs are copied from."""

    settings: Settings
    stored: Truth
    fill_seconds: float
    index_seconds: float


def run(options: Options, arena: Arena, spark: SparkSession | None, say: Callable[[str], None]) -> Report:
    """Measure.

    Args:
        options: what.
        arena: where.
        spark: the session; None for the Python engine.
        say: told what is being done.

    Raises:
        IntegrityError: a run counted something else than was sent.
    """
    facts = machine.facts()
    world = World(23, anchor_now(), span_seconds=365 * 86_400)
    lakes = {size: _filled(options, arena, spark, world, size=size, say=say) for size in options.sizes}
    history = min(options.sizes)
    stream = Stream(world=world, count=options.events, first=max(options.sizes), history=history)
    produce(arena.settings.bootstrap_servers, stream.chunks())
    samples: Samples = {(size, heat): [] for size in options.sizes for heat in ("warm", "cold")}
    measure = partial(_measure, arena=arena, spark=spark, truth=stream.truth)
    measure(lakes[history], heat="warm")
    for repetition in range(options.repeat):
        for size, heat in alternated(list(samples), repetition):
            sample = measure(lakes[size], heat=heat)
            samples[size, heat].append(sample)
            say(
                f"{repetition + 1}/{options.repeat} {size:,}, {heat}: {sample.seconds:.1f} s, {sample.rate:,.0f} rows/s"
            )
    return _report(options, facts, samples, lakes)


def _filled(
    options: Options, arena: Arena, spark: SparkSession | None, world: World, *, size: int, say: Callable[[str], None]
) -> _Lake:
    """Make a lake of a size, while the broker's topics are empty, and let the job build its index."""
    settings = job_sides.with_engine(placed(arena.settings, arena.home / "filled" / str(size)), options.engine)
    started = time.monotonic()
    stored = fill(settings, world, size)
    filled = time.monotonic()
    job_sides.take_in(settings, spark)
    done = time.monotonic()
    say(f"{size:,} rows stored in {filled - started:.0f} s, the claim index built of them in {done - filled:.0f} s")
    return _Lake(settings=settings, stored=stored, fill_seconds=filled - started, index_seconds=done - filled)


def _measure(lake: _Lake, *, heat: str, arena: Arena, spark: SparkSession | None, truth: Truth) -> Sample:
    with arena.folder("scale") as folder:
        own = placed(lake.settings, folder / "lake")
        copy_lake(lake.settings.storage.folder, own.storage.folder)
        if heat == "cold":
            machine.drop_page_cache(own.storage.folder)
        else:
            machine.warm(own.storage.folder)
        sample = timed(partial(job_sides.take_in, own, spark), arena.cpu_seconds)
        job_sides.check_totals(own, truth, before=lake.stored)
    return sample


def copy_lake(source: Path, target: Path) -> None:
    """Copy a lake that nobody writes to; files that never change are shared."""

    def copy(one: str, other: str) -> None:
        if os.path.splitext(one)[1] in _NEVER_CHANGED:  # noqa: PTH122 - copytree speaks in strings
            os.link(one, other)
        else:
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=copy)


def _report(options: Options, facts: dict[str, Any], samples: Samples, lakes: dict[int, _Lake]) -> Report:
    small, large = min(options.sizes), max(options.sizes)
    runs = [
        {"stored": size, "heat": heat, "samples": [asdict(each) for each in found], "median_rate": rate(found),
         "median_batch_rate": batch_rate(found), "phases": phases(found)}
        for (size, heat), found in samples.items()
    ]  # fmt: skip
    built = {
        size: {"fill_seconds": each.fill_seconds, "index_seconds": each.index_seconds} for size, each in lakes.items()
    }
    return Report(
        mode="dedup",
        machine=facts,
        options=asdict(options),
        measured={"runs": runs, "lakes": built},
        requirements=[_requirement(samples, small, large, heat) for heat in ("warm", "cold")],
        tables=[_table(samples)],
    )


def _requirement(samples: Samples, small: int, large: int, heat: str) -> Requirement:
    many, few = samples[large, heat], samples[small, heat]
    return Requirement(
        name=f"rate at {large:,} / at {small:,} stored, {heat}",
        value=ratio(rate(many), rate(few)),
        limit=_LIMIT,
        note=f"whole runs, start included; within the batches {number(ratio(batch_rate(many), batch_rate(few)), 3)}",
    )


def _table(samples: Samples) -> Rows:
    return Rows(
        title="Medians",
        columns=("stored", "index", "rows/s", "in batches", "per CPU-s", "seconds"),
        rows=[
            (f"{size:,}", heat, number(rate(each), 0), number(batch_rate(each), 0), number(cpu_rate(each), 0),
             " ".join(f"{one.seconds:.1f}" for one in each))
            for (size, heat), each in samples.items()
        ],
    )  # fmt: skip
