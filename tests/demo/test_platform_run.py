"""Following a run: groups of assets, checks, failures, and what a killed process leaves behind."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from music_assets.demo.platform_run import ATTEMPTS, Outcome, follow, run_until_done
from music_assets.demo.progress import Progress


@pytest.fixture
def progress() -> Progress:
    return Progress(Console(file=io.StringIO(), width=120))


def _lines(*events: dict[str, Any]) -> list[str]:
    return [json.dumps(event) + "\n" for event in events]


def _asset(key: str, moment: float, **metadata: Any) -> dict[str, Any]:
    return {"event": "asset", "asset": key, "metadata": metadata, "time": moment}


def _check(key: str, name: str, *, passed: bool, severity: str = "ERROR") -> dict[str, Any]:
    return {"event": "check", "asset": key, "check": name, "passed": passed, "severity": severity, "time": 9.0}


def test_a_group_is_a_stage_once_all_its_assets_are_there(progress: Progress) -> None:
    outcome = follow(
        _lines(
            {"event": "plan", "assets": {"silver": 2, "gold": 1}},
            {"event": "start", "step": "silver__a", "time": 1.0},
            _asset("silver/a", 3.0, **{"dagster/row_count": 5}),
            {"event": "start", "step": "silver__b", "time": 3.0},
            _asset("silver/b", 4.0, **{"dagster/row_count": 7}),
            {"event": "failure", "step": "gold__c", "error": "no lake", "time": 5.0},
            {"event": "end", "success": False, "run_id": "r"},
        ),
        progress,
    )
    assert [(stage.name, stage.seconds, stage.rows) for stage in progress.stages] == [("silver", 3.0, 12)]
    assert (outcome.success, outcome.run_id, outcome.failures) == (False, "r", ["gold__c: no lake"])
    assert outcome.assets["silver/b"] == {"dagster/row_count": 7}


def test_half_a_line_of_a_killed_process_ends_the_run_without_success(progress: Progress) -> None:
    outcome = follow([*_lines(_asset("silver/a", 1.0)), '{"event": "end", "succ'], progress)
    assert not outcome.success
    assert list(outcome.assets) == ["silver/a"]


def test_dbt_is_green_only_if_tests_ran_and_passed(progress: Progress) -> None:
    green = follow(_lines(_check("marts/fct_listens", "unique", passed=True)), progress)
    red = follow(_lines(_check("staging/a", "not_null", passed=False)), progress)
    warned = follow(_lines(_check("marts/a", "drift", passed=False, severity="WARN")), progress)
    elsewhere = follow(_lines(_check("silver/a", "unique", passed=True)), progress)
    assert green.dbt_problems() == warned.dbt_problems() == []
    assert red.dbt_problems() == ["dbt test not_null on staging/a failed"]
    assert elsewhere.dbt_problems() == ["no dbt test ran"]


def test_a_failed_run_is_repeated_after_healing() -> None:
    outcomes = iter([Outcome(failures=["the server closed the connection"]), Outcome(success=True, run_id="second")])
    reasons: list[str] = []
    assert run_until_done(lambda: next(outcomes), reasons.append).run_id == "second"
    assert reasons == ["the server closed the connection"]


def test_a_run_that_always_fails_ends() -> None:
    attempts: list[int] = []

    def attempt() -> Outcome:
        attempts.append(1)
        return Outcome(failures=["broken"])

    assert not run_until_done(attempt, lambda _: None).success
    assert len(attempts) == ATTEMPTS
