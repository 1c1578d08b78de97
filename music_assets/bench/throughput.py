"""Every side on the same messages in one run: bare Spark, the silver job, a bare loop, the Python engine, trending."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from music_assets.bench import bare_loop, job_sides, machine, spark_sides
from music_assets.bench.arena import Arena, placed, produce
from music_assets.bench.figures import alternated, ratio
from music_assets.bench.report import Report, Requirement, Rows, number
from music_assets.bench.sample import Sample, batch_rate, cpu_rate, phases, rate, timed
from music_assets.bench.workload import Stream, World, anchor_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession

    from music_assets.bench.sample import Outcome
    from music_assets.settings import Settings

SIDES: Final = ("noop", "json_noop", "json_parquet", "silver", "bare_python", "silver_python", "trending")

DEDUP_PHASES: Final = ("dedup", "claim", "decide", "judge", "index")
"""A phase whose name holds one of these is spent on telling duplicates."""

_PAIRS: Final = (
    ("silver", "json_parquet", 0.9, None),
    ("silver", "noop", 0.28, 0.35),
    ("silver_python", "bare_python", 0.5, None),
    ("trending", "json_noop", 0.5, None),
)
_DEDUP_LIMIT: Final = 0.2

Samples = dict[str, list[Sample]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        events: messages over the four event topics.
        trending_rows: silver rows in the chart's window.
        repeat: timed runs of each side, after one that is not timed.
        sides: names from `SIDES`.
    """

    events: int = 600_000
    trending_rows: int = 1_000_000
    repeat: int = 5
    sides: Sequence[str] = SIDES


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a side, ready to begin.

    Attributes:
        work: what is timed.
        check: what is held against the truth afterwards, not timed.
    """

    work: Callable[[], Outcome]
    check: Callable[[], object] = lambda: None


@dataclass(frozen=True, kw_only=True)
class Side:
    """One competitor.

    Attributes:
        name: one of `SIDES`.
        prepare: makes a run ready in an empty folder, not timed.
    """

    name: str
    prepare: Callable[[Path], Run]


def run(options: Options, arena: Arena, spark: SparkSession, say: Callable[[str], None]) -> Report:
    """Measure.

    Args:
        options: what.
        arena: where.
        spark: the session of every Spark side.
        say: told what is being done.

    Raises:
        MusicError: a side did something else than it should.
    """
    facts = machine.facts()
    stream = Stream(world=World(7, anchor_now()), count=options.events)
    produced = produce(arena.settings.bootstrap_servers, stream.chunks())
    say(f"{options.events:,} messages in Kafka, {options.events / produced:,.0f} a second")
    sides, notes = _sides(options, arena, spark, stream)
    samples: Samples = {side.name: [] for side in sides}
    spark.sparkContext.setLogLevel("ERROR")
    for side in sides:
        _once(side, arena, say, label="warm-up")
    for repetition in range(options.repeat):
        for side in alternated(sides, repetition):
            samples[side.name].append(_once(side, arena, say, label=f"{repetition + 1}/{options.repeat}"))
    return _report(options, facts, samples, notes=notes, truth=asdict(stream.truth))


def _sides(options: Options, arena: Arena, spark: SparkSession, stream: Stream) -> tuple[list[Side], list[str]]:
    every = [*_bare_sides(arena, spark, stream.count), *_job_sides(options, arena, spark, stream)]
    there = [side for name in SIDES for side in every if side.name == name and name in options.sides]
    notes = []
    if "silver_python" in options.sides and job_sides.python_settings(arena.settings) is None:
        notes.append("silver_python was left out: STREAM_ENGINE=python is not supported yet")
    return there, notes


def _bare_sides(arena: Arena, spark: SparkSession, rows: int) -> list[Side]:
    reads = (spark_sides.noop, spark_sides.json_noop, spark_sides.json_parquet)

    def query(read: Callable[..., Outcome], folder: Path) -> Run:
        return Run(work=partial(read, spark, arena.settings, folder, rows=rows))

    def loop(folder: Path) -> Run:
        return Run(work=partial(bare_loop.run, arena.settings, folder, rows=rows))

    sides = [Side(name=read.__name__, prepare=partial(query, read)) for read in reads]
    return [*sides, Side(name="bare_python", prepare=loop)]


def _job_sides(options: Options, arena: Arena, spark: SparkSession, stream: Stream) -> list[Side]:
    def silver(engine: Settings, session: SparkSession | None, folder: Path) -> Run:
        own = placed(engine, folder)
        job_sides.fresh(own)
        return Run(work=partial(job_sides.take_in, own, session), check=partial(job_sides.check, own, stream.truth))

    def trending(folder: Path) -> Run:
        own = placed(arena.settings, folder)
        job_sides.fill_trending(own, options.trending_rows)
        return Run(work=partial(job_sides.chart, own, spark, rows=options.trending_rows))

    sides = [
        Side(name="silver", prepare=partial(silver, arena.settings, spark)),
        Side(name="trending", prepare=trending),
    ]
    python = job_sides.python_settings(arena.settings)
    if python is not None:
        sides.append(Side(name="silver_python", prepare=partial(silver, python, None)))
    return sides


def _once(side: Side, arena: Arena, say: Callable[[str], None], *, label: str) -> Sample:
    # A new name each time: Spark remembers a Delta table by its path.
    with arena.folder(side.name) as folder:
        ready = side.prepare(folder)
        sample = timed(ready.work, arena.cpu_seconds)
        ready.check()
    say(f"{label} {side.name}: {sample.seconds:.1f} s, {sample.rate:,.0f} rows/s, {sample.cpu_rate:,.0f} per CPU-s")
    return sample


def _report(
    options: Options, facts: dict[str, Any], samples: Samples, *, notes: list[str], truth: dict[str, int]
) -> Report:
    measured = {name: _measured(each) for name, each in samples.items()}
    requirements = [
        _pair(samples, over, under, limit, aim=aim)
        for over, under, limit, aim in _PAIRS
        if over in options.sides and under in options.sides
    ]
    if "silver" in samples:
        requirements.append(_dedup(samples["silver"]))
    return Report(
        mode="throughput",
        machine=facts,
        options=asdict(options),
        measured={"truth": truth, "sides": measured},
        requirements=requirements,
        notes=notes,
        tables=[_table(samples), *_phase_tables(samples)],
    )


def _measured(samples: Sequence[Sample]) -> dict[str, Any]:
    medians = {"rate": rate(samples), "batch_rate": batch_rate(samples), "cpu_rate": cpu_rate(samples)}
    return {"samples": [asdict(each) for each in samples], "median": {**medians, "phases": phases(samples)}}


def _pair(samples: Samples, over: str, under: str, limit: float, *, aim: float | None) -> Requirement:
    upper, lower = samples.get(over, []), samples.get(under, [])
    in_batches = ratio(batch_rate(upper), batch_rate(lower) or rate(lower))
    per_cpu = ratio(cpu_rate(upper), cpu_rate(lower))
    return Requirement(
        name=f"{over} / {under}",
        value=ratio(rate(upper), rate(lower)),
        limit=limit,
        aim=aim,
        note=f"whole runs; within the batches {number(in_batches, 3)}, per CPU-second {number(per_cpu, 3)}",
    )


def _dedup(samples: Sequence[Sample]) -> Requirement:
    spent = phases(samples)
    share = _share(spent) if spent else None
    note = "share of the job's phases" if spent else "the job does not tell its phases"
    return Requirement(name="dedup share", value=share, limit=_DEDUP_LIMIT, direction="at most", note=note)


def _share(spent: Mapping[str, float]) -> float:
    dedup = sum(seconds for name, seconds in spent.items() if any(part in name for part in DEDUP_PHASES))
    return dedup / sum(spent.values())


def _table(samples: Samples) -> Rows:
    return Rows(
        title="Medians",
        columns=("side", "rows", "rows/s", "in batches", "per CPU-s", "seconds"),
        rows=[
            (name, f"{each[0].outcome.rows:,}", number(rate(each), 0), number(batch_rate(each), 0),
             number(cpu_rate(each), 0), " ".join(f"{one.seconds:.1f}" for one in each))
            for name, each in samples.items()
            if each
        ],
    )  # fmt: skip


def _phase_tables(samples: Samples) -> list[Rows]:
    tables = []
    for name, each in samples.items():
        spent = phases(each)
        if spent:
            rows = [
                (phase, number(seconds), f"{seconds / sum(spent.values()):.0%}") for phase, seconds in spent.items()
            ]
            tables.append(Rows(title=f"Phases of {name}, median seconds", columns=("phase", "s", "share"), rows=rows))
    return tables
