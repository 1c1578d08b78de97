"""What the run's process tells about a run of Dagster."""

from __future__ import annotations

import io
import json

import dagster as dg
from rich.console import Console

from music_assets.demo.job import event_lines
from music_assets.demo.platform_run import follow
from music_assets.demo.progress import Progress


@dg.asset(key=["gold", "good"])
def good() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"dagster/row_count": 3, "models": {"ease": {"ndcg@10": 0.5}}, "url": "x"})


@dg.asset_check(asset=["gold", "good"])
def it_is_good() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset(key=["gold", "bad"])
def bad() -> None:
    try:
        raise ValueError("the lake is away")
    except ValueError as error:
        raise RuntimeError("this step failed") from error


def test_assets_checks_and_failures_of_a_real_run_are_told() -> None:
    run = dg.materialize([good, it_is_good, bad], raise_on_error=False)
    told = [line for event in run.all_events for line in event_lines(event, 1.0)]
    written = [json.dumps(line) + "\n" for line in told]
    outcome = follow(written, Progress(Console(file=io.StringIO())))
    assert outcome.assets == {
        "gold/good": {"dagster/row_count": 3, "models": {"ease": {"ndcg@10": 0.5}}, "url": "x"},
    }
    assert [(check.asset, check.name, check.passed, check.severity) for check in outcome.checks] == [
        ("gold/good", "it_is_good", False, "WARN")
    ]
    assert outcome.failures == ["gold__bad: ValueError: the lake is away"]
    assert {line["step"] for line in told if line["event"] == "start"} >= {"gold__good", "gold__bad"}
