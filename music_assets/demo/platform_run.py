"""Starts the run of job `platform` in a process of its own and follows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from music_assets.demo.progress import Progress
from music_assets.stack.process import with_parent
from music_assets.stack.supervisor import last_line

ATTEMPTS: Final = 3
"""Runs until the demo gives up: one that lost its database or its streams is repeated as a whole."""

DBT_STAGES: Final = frozenset({"staging", "intermediate", "marts"})


@dataclass(frozen=True)
class Check:
    """One result of an asset check; `severity` is `ERROR` or `WARN`."""

    asset: str
    name: str
    passed: bool
    severity: str


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        success: every step succeeded.
        run_id: Dagster's id of the run.
        assets: metadata of the last materialisation by asset key.
        checks: results in order.
        failures: messages of failed steps.
    """

    success: bool = False
    run_id: str = ""
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def dbt_problems(self) -> list[str]:
        """Return what is wrong with the tests of the warehouse; that there were none is wrong too."""
        tests = [check for check in self.checks if check.asset.split("/")[0] in DBT_STAGES]
        if not tests:
            return ["no dbt test ran"]
        return [
            f"dbt test {check.name} on {check.asset} failed"
            for check in tests
            if not check.passed and check.severity == "ERROR"
        ]


def follow(lines: Iterable[str], progress: Progress) -> Outcome:
    """Read the lines of `music_assets.demo.job` and report each group of assets as it is complete."""
    outcome, groups = Outcome(), _Groups(progress)
    for line in lines:
        if not line.endswith("\n"):
            break  # the process was killed while it wrote
        event = json.loads(line)
        groups.see(event)
        match event["event"]:
            case "asset":
                outcome.assets[event["asset"]] = event["metadata"]
            case "check":
                outcome.checks.append(
                    Check(event["asset"], event["check"], passed=event["passed"], severity=event["severity"])
                )
            case "failure":
                outcome.failures.append(f"{event['step']}: {event['error']}")
            case "end":
                outcome.success, outcome.run_id = event["success"], event["run_id"]
    return outcome


class _Groups:
    """Counts assets, rows and seconds by group; the time between two events belongs to the later one's group."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._left: dict[str, int] = {}
        self._planned: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._last: float | None = None

    def see(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "plan":
            self._planned, self._left = event["assets"], dict(event["assets"])
            return
        now: float | None = event.get("time")
        if now is None:
            return
        if event["event"] in {"asset", "check"}:
            group = event["asset"].split("/")[0]
            spent = now - self._last if self._last is not None else 0.0
            self._seconds[group] = self._seconds.get(group, 0.0) + spent
            if event["event"] == "asset":
                self._made(group, event["metadata"])
        self._last = now

    def _made(self, group: str, metadata: Mapping[str, Any]) -> None:
        rows = metadata.get("dagster/row_count", 0)
        self._rows[group] = self._rows.get(group, 0) + (int(rows) if isinstance(rows, (int, float)) else 0)
        self._left[group] = self._left.get(group, 0) - 1
        if self._left[group] == 0:
            count = self._planned[group]
            note = f"{count} asset{'s' if count > 1 else ''}"
            self._progress.add(group, seconds=self._seconds[group], rows=self._rows[group], note=note)


class PlatformRun:
    """One run of the job in a process that loads its code before it is told to go.

    Must be made in the main thread: the kernel ends the process together with the thread that started it.

    Args:
        environment: of the process.
        log: takes what the process writes otherwise.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        read, write = os.pipe()
        command = with_parent((sys.executable, "-m", "music_assets.demo.job", str(write)))
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.PIPE, stdout=output, stderr=output, pass_fds=(write,)
            )
        os.close(write)
        self._lines = os.fdopen(read, encoding="utf-8")

    def go(self, progress: Progress) -> Outcome:
        """Run to the end and return what was done; `progress` is told about every group of assets."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as go:
            go.write(b"go\n")
        outcome = follow(self._lines, progress)
        self._process.wait(timeout=60)
        if not outcome.run_id and not outcome.failures:
            outcome.failures.append(f"the run ended early, see {self._log}: {last_line(self._log)}")
        return outcome

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._lines.close()


def run_until_done(attempt: Callable[[], Outcome], heal: Callable[[str], None]) -> Outcome:
    """Attempt the run up to `ATTEMPTS` times; `heal` gets the reason before each repetition."""
    outcome = attempt()
    for _ in range(ATTEMPTS - 1):
        if outcome.success:
            break
        heal(outcome.failures[0] if outcome.failures else "a step failed")
        outcome = attempt()
    return outcome
