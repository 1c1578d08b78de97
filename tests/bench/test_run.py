"""What a measurement is told, and what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from typer.testing import CliRunner

from music_assets.bench import latency, throughput
from music_assets.bench.memory import flatness
from music_assets.bench.report import Report, Requirement, Rows
from music_assets.bench.run import Mode, mode_of, options_of
from music_assets.bench.sample import Outcome, Sample, phase_sums, told_batches
from music_assets.bench.watch import Tick, left_out
from music_assets.cli import main
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    pass


def test_what_is_not_given_has_the_modes_own_default() -> None:
    assert options_of(Mode.THROUGHPUT, {"events": None, "repeat": 2}) == throughput.Options(repeat=2)
    assert options_of(Mode.LATENCY, {"engine": "python"}) == latency.Options(engine="python")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mode", "bogus"], "--mode has no 'bogus'; valid: throughput, dedup, latency, catchup, soak"),
        (["--rate", "5"], "--rate does not belong to --mode throughput; valid: --events, "),
        (["--sides", "bogus"], "--sides has no 'bogus'; valid: noop, "),
        (["--mode", "soak", "--engine", "flink"], "--engine has no 'flink'; valid: spark, python"),
    ],
)
def test_a_wrong_option_says_what_is_valid(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(main, ["bench", "stream", *arguments])
    assert isinstance(result.exception, ConfigurationError)
    assert str(result.exception).startswith(says)


def test_a_mode_has_a_name() -> None:
    assert mode_of("soak") is Mode.SOAK


def requirement(value: float | None, **more: object) -> Requirement:
    return Requirement(name="x", value=value, limit=0.5, **more)  # type: ignore[arg-type]


def test_a_limit_holds_or_not_or_was_not_measured() -> None:
    assert requirement(0.5).met is True
    assert requirement(0.49).met is False
    assert requirement(0.5, direction="at most").met is True
    assert requirement(0.51, direction="at most").met is False
    assert requirement(None).met is None


def test_a_report_holds_every_raw_figure() -> None:
    sample = Sample(seconds=2.0, cpu_seconds=4.0, outcome=Outcome(rows=100, batch_seconds=1.0))
    assert (sample.rate, sample.batch_rate, sample.cpu_rate) == (50.0, 100.0, 25.0)
    report = Report(
        mode="m", machine={}, options={}, measured={"samples": [1.5]},
        requirements=[requirement(0.1), requirement(None)],
        notes=["n"], tables=[Rows(title="t", columns=("a",), rows=[("b",)])],
    )  # fmt: skip
    content = json.loads(report.as_json())
    assert content["measured"] == {"samples": [1.5]}
    assert [each["met"] for each in content["requirements"]] == [False, None]
    assert report.missed == [requirement(0.1)]


def test_a_report_is_shown_with_what_is_missed() -> None:
    console = Console(record=True, width=100)
    Report(mode="m", machine={}, options={}, measured={}, requirements=[requirement(0.1)], notes=["[n]"]).show(console)
    shown = console.export_text()
    assert "NOT MET" in shown
    assert "note: [n]" in shown


def test_a_chart_lacks_what_silver_showed_before_its_moment() -> None:
    counted = [1.0, 2.0, 2.0, 5.0]
    ticks = [Tick(at=9, as_of=0.5, events=0), Tick(at=9, as_of=2.0, events=2), Tick(at=9, as_of=6.0, events=5)]
    assert left_out(ticks, counted) == [0, 1, 0]


def test_memory_that_grows_is_not_flat() -> None:
    flat = flatness([(float(second), 500.0) for second in range(0, 91, 5)])
    assert flat is not None
    assert flat.growth == pytest.approx(0.0)
    assert flat.max_mb == 500.0
    growing = flatness([(float(second), 500.0 + second) for second in range(0, 91, 5)])
    assert growing is not None
    assert growing.slope_mb_per_minute == pytest.approx(60.0)
    assert growing.growth == pytest.approx(90 / 545)
    assert flatness([(0.0, 1.0)]) is None


def test_batches_are_overheard_and_other_lines_pass() -> None:
    import structlog

    log = structlog.get_logger()
    with told_batches("mine") as batches:
        log.info("batch_committed", query="mine", seconds=1.0, phases={"a": 0.25, "b": 0.5})
        log.debug("claims_remembered", query="mine", seconds=0.25)
        log.info("batch_committed", query="mine", seconds=2.0, phases={"a": 0.25})
        log.debug("claims_remembered", query="other", seconds=9.0)
        log.info("batch_committed", query="other", seconds=2.0)
        log.info("something_else", query="mine")
    log.info("batch_committed", query="mine", seconds=9.0)
    assert [batch["seconds"] for batch in batches] == [1.0, 2.0]
    assert phase_sums(batches) == {"a": 0.5, "b": 0.5, "claims": 0.25}
    assert phase_sums([{}]) == {}
