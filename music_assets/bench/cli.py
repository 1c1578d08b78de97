"""The command `music bench`."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from music_assets.bench.report import Report
from music_assets.settings import settings

_WIDTH = 160
"""Of the lines where the output is no terminal: a log file should not break a table."""

AsJson = Annotated[
    bool, typer.Option("--json", help="Print every raw figure as JSON; what is done goes to the error output.")
]
Users = Annotated[int, typer.Option(min=100, help="Listeners.")]
Items = Annotated[int, typer.Option(min=100, help="Catalogue.")]

bench = typer.Typer(no_args_is_help=True, help="Measurements, each on a broker and a lake of its own.")


@bench.command()
def stream(
    *,
    mode: Annotated[str, typer.Option(help="throughput, dedup, latency, catchup or soak.")] = "throughput",
    json: AsJson = False,
    engine: Annotated[str | None, typer.Option(help="Of all modes but throughput: spark or python.")] = None,
    events: Annotated[int | None, typer.Option(min=100, help="Messages in Kafka.")] = None,
    repeat: Annotated[int | None, typer.Option(min=1, help="Timed runs of each side.")] = None,
    sides: Annotated[list[str] | None, typer.Option(help="Of throughput: only these; may be repeated.")] = None,
    trending_rows: Annotated[int | None, typer.Option(min=100, help="Of throughput: rows of the chart.")] = None,
    sizes: Annotated[list[int] | None, typer.Option(min=1, help="Of dedup: stored rows; may be repeated.")] = None,
    rate: Annotated[float | None, typer.Option(min=1, help="Of latency and soak: events a second.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.05, max=55, help="Of latency and soak: how long.")] = None,
    warm_up_seconds: Annotated[float | None, typer.Option(min=0, help="Of latency and soak: not counted.")] = None,
) -> None:
    """Measure the streams against bare code on the same messages; exit code 1 when a limit is missed."""
    from music_assets.bench.run import mode_of, options_of, run

    given = {"engine": engine, "events": events, "repeat": repeat, "sides": sides, "trending_rows": trending_rows,
             "sizes": sizes, "rate": rate, "minutes": minutes, "warm_up_seconds": warm_up_seconds}  # fmt: skip
    options = options_of(mode_of(mode), given)
    _tell(lambda say: run(options, settings(), say), as_json=json)


def _tell(measure: Callable[[Callable[[str], None]], Report], *, as_json: bool) -> None:
    """Measure, say meanwhile what is done, and print the report; exit code 1 when a limit is missed."""
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
    console, started = Console(stderr=as_json), time.monotonic()
    if not console.is_terminal:
        console = Console(stderr=as_json, width=_WIDTH)

    def say(sentence: str) -> None:
        console.print(f"{time.monotonic() - started:7.1f} s  {sentence}", highlight=False, markup=False)

    report = measure(say)
    if as_json:
        sys.stdout.write(report.as_json())
    report.show(console)
    if report.missed:
        raise typer.Exit(1)


@bench.command()
def recommend(
    *,
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder with the data set.")],
    test: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Test part kept elsewhere.")] = None,
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="File for every figure.")] = None,
    budget: Annotated[float, typer.Option(min=0.1, max=600, help="Minutes for everything.")] = 20,
) -> None:
    """Tune on the train part, judge on the test part: every model, and the best by validation."""
    from music_assets.bench.recommend import measure

    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
    quality = measure(data, test, budget * 60, lambda text: typer.echo(text, err=True))
    if json is not None:
        json.write_text(quality.as_json(), "utf-8")
    for line in quality.lines():
        typer.echo(line)
    typer.echo(f"best on validation: {quality.best}")


@bench.command()
def train(
    *,
    json: AsJson = False,
    users: Users = 100_000,
    items: Items = 50_000,
    listens: Annotated[list[int] | None, typer.Option(min=1000, help="Size of a training; may be repeated.")] = None,
) -> None:
    """Train as a day does on planted listens: seconds and memory of each step; exit code 1 when a limit is missed."""
    from music_assets.bench.train import Options, run

    sizes = tuple(listens) if listens else Options.listens
    home = settings().music_home
    home.mkdir(parents=True, exist_ok=True)
    _tell(lambda say: run(Options(users=users, items=items, listens=sizes), home, say), as_json=json)


@bench.command()
def als(
    *,
    json: AsJson = False,
    users: Users = 100_000,
    items: Items = 50_000,
    listens: Annotated[int, typer.Option(min=1000, help="How many.")] = 1_000_000,
    factors: Annotated[int, typer.Option(min=2, help="Numbers per item.")] = 64,
) -> None:
    """Measure an iteration of iALS beside the package implicit and Spark MLlib; exit code 1 when a limit is missed."""
    from music_assets.bench.als import Options, run
    from streaming.spark import session

    options = Options(users=users, items=items, listens=listens, factors=factors)
    spark = session(settings())
    try:
        _tell(lambda say: run(options, spark, say), as_json=json)
    finally:
        spark.stop()


@bench.command()
def retrieval(
    *,
    json: AsJson = False,
    items: Annotated[list[int] | None, typer.Option(min=1000, help="Size of a catalogue; may be repeated.")] = None,
    factors: Annotated[int, typer.Option(min=2, help="Numbers per item.")] = 128,
    listeners: Annotated[int, typer.Option(min=100, help="In the world the factors are learnt from.")] = 50_000,
    queries: Annotated[int, typer.Option(min=10, help="Of a round.")] = 200,
    repeat: Annotated[int, typer.Option(min=1, help="Rounds.")] = 7,
) -> None:
    """Measure what finding the best hundred of a catalogue costs, beside FAISS; exit code 1 when a limit is missed."""
    from music_assets.bench.retrieval import Options, run

    options = Options(
        items=tuple(items) if items else Options.items, factors=factors, listeners=listeners, queries=queries,
        repeat=repeat,
    )  # fmt: skip
    _tell(lambda say: run(options, say), as_json=json)


@bench.command()
def warehouse(
    *,
    listens: Annotated[list[int] | None, typer.Option(min=1000, help="Listens before; may be repeated.")] = None,
) -> None:
    """Measure a whole build of the warehouse and builds of 10,000 new listens; prints the seconds as JSON."""
    import tempfile
    from json import dumps
    from pathlib import Path

    from music_assets.bench.warehouse import measure
    from music_assets.stack import Stack

    Stack(settings()).up(["postgres"])
    with tempfile.TemporaryDirectory(prefix="bench-warehouse-") as folder:
        figures = measure(settings(), listens or [1_000_000], Path(folder), lambda text: typer.echo(text, err=True))
    typer.echo(dumps(figures, indent=2))


@bench.command()
def serve(
    *,
    mode: Annotated[str, typer.Option(help="cost, soak or dbt.")] = "cost",
    json: AsJson = False,
    listeners: Annotated[int | None, typer.Option(min=1000, help="Listeners with a history.")] = None,
    items: Annotated[int | None, typer.Option(min=1000, help="Items of the catalogue.")] = None,
    rate: Annotated[float | None, typer.Option(min=1, help="Requests a second of a steady run.")] = None,
    repeat: Annotated[int | None, typer.Option(min=1, help="Of cost: timed runs of each side.")] = None,
    requests: Annotated[int | None, typer.Option(min=10, help="Of cost: in a run; dear sides take a tenth.")] = None,
    sides: Annotated[list[str] | None, typer.Option(help="Of cost: only these; may be repeated.")] = None,
    seconds: Annotated[float | None, typer.Option(min=1, max=3000, help="Of cost and dbt: of the steady run.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.05, max=55, help="Of soak: how long.")] = None,
    warm_up_seconds: Annotated[float | None, typer.Option(min=0, help="Of soak: not counted.")] = None,
    listens: Annotated[int | None, typer.Option(min=1000, help="Of dbt: in the warehouse that is built.")] = None,
) -> None:
    """Measure the API: what a request costs beside bare code, memory, and beside a dbt build; exit code 1 on a miss."""
    from music_assets.bench.arena import arena
    from music_assets.bench.serve_modes import options_of, run

    given = {"listeners": listeners, "items": items, "rate": rate, "repeat": repeat, "requests": requests,
             "sides": sides, "seconds": seconds, "minutes": minutes, "warm_up_seconds": warm_up_seconds,
             "listens": listens}  # fmt: skip
    options = options_of(mode, given)
    with arena(settings()) as place:
        _tell(lambda say: run(options, place, say), as_json=json)
