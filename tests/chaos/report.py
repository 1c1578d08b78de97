"""What a run comes to: a table for people and the same as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.truth import Truth
from tests.chaos.verdict import Verdict


@dataclass
class Report:
    """A run.

    Attributes:
        seed: of everything that was chosen.
        engine: of the stream process.
        wanted: kills that were asked for.
        kills: kill -9 by kind.
        torn: kills that left rows without their ledger entry.
        happened: every fault with its time.
        seconds: time by phase.
        events: what was sent and said.
        ledger: totals by topic.
        compared: what the lake was held against.
        verdict: what is wrong.
    """

    seed: int
    engine: str
    wanted: int
    kills: Counter[str] = field(default_factory=Counter)
    torn: int = 0
    happened: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    compared: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def good(self) -> bool:
        """Whether every promise was kept and the run was what was asked for."""
        return bool(self.compared) and self.kills.total() >= self.wanted and not self.verdict.wrong()

    def count(self, truth: Truth) -> None:
        """Take over what was sent and said."""
        said = truth.verdicts
        self.events = {
            "posted": len(truth.posted), "different": len(truth.first), "accepted": said.accepted,
            "spooled": said.spooled, "rejected": said.rejected.total(), "requests_repeated": said.repeated,
            "doubtful": said.doubtful, "unanswered": len(truth.unanswered), "direct": len(truth.direct),
        }  # fmt: skip

    def json(self) -> dict[str, Any]:
        """Return the report for a file."""
        plain = {**vars(self), "kills": dict(self.kills), "verdict": asdict(self.verdict)}
        return {**plain, "kills_total": self.kills.total(), "good": self.good}


def show(report: Report, console: Console) -> None:
    """Print the report."""
    table = Table(title=f"chaos, seed {report.seed}, engine {report.engine}", show_header=False, title_justify="left")
    for kind, number in sorted(report.kills.items()):
        table.add_row(f"kill -9: {kind}", str(number))
    others = Counter(each["fault"] for each in report.happened if each["fault"] not in report.kills)
    for name, number in sorted(others.items()):
        table.add_row(name, str(number))
    table.add_section()
    table.add_row("kills", f"{report.kills.total()} of {report.wanted}, {report.torn} of them tore a batch")
    for name, number in report.events.items():
        table.add_row(f"events {name.replace('_', ' ')}", f"{number:,}")
    table.add_section()
    for topic, totals in report.ledger.items():
        numbers = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in totals.items())
        table.add_row(f"ledger {topic}", numbers)
    table.add_section()
    for name, lines in asdict(report.verdict).items():
        table.add_row(name, str(len(lines)))
    table.add_row("compared with", ", ".join(report.compared) or "nothing: the run did not get there")
    table.add_row("seconds", ", ".join(f"{name} {value:.0f}" for name, value in report.seconds.items()))
    console.print(table)
    console.print(str(report.verdict), highlight=False, markup=False)
    console.print("every promise was kept" if report.good else "FAILED", highlight=False)
