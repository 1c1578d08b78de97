"""What a demo leaves behind: `demo.json`, for people and for the programs that judge a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pathlib import Path


class Stage(BaseModel):
    """One line of progress: seconds it took and rows it moved or made."""

    model_config = ConfigDict(frozen=True)

    name: str
    seconds: float
    rows: int


class LedgerLine(BaseModel):
    """What became of a topic's messages since the lake began."""

    model_config = ConfigDict(frozen=True)

    received: int
    stored: int
    duplicate: int
    dead_lettered: int


class TruthReport(BaseModel):
    """What was planted and what this run added, in the same form."""

    model_config = ConfigDict(frozen=True)

    planted: dict[str, Any]
    found: dict[str, Any]


class Recommended(BaseModel):
    """One recommended item and why."""

    model_config = ConfigDict(frozen=True)

    item_id: str
    name: str | None
    score: float
    source: str
    reason: str


class Recommendations(BaseModel):
    """The API's answer to one listener."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    model_version: str
    rung: str
    items: list[Recommended]


class Report(BaseModel):
    """A whole run.

    Attributes:
        stages: in the order they ended.
        ledger: totals by topic.
        truth: planted and found.
        models: measured quality by model.
        gate: the gate's sentence about the newest model.
        recommendations: what a few listeners are shown.
        trending: item ids of tracks, the first leads.
        promises: each really checked; a run is good when all are true.
        broken: one sentence for each promise that is not kept.
        peak_rss_mb: most memory of the whole process tree at once, as the sum of PSS, in MiB.
        seconds: from start to summary.
    """

    model_config = ConfigDict(frozen=True)

    stages: list[Stage]
    ledger: dict[str, LedgerLine]
    truth: TruthReport
    models: dict[str, dict[str, float]]
    gate: str
    recommendations: list[Recommendations]
    trending: list[str]
    promises: dict[str, bool]
    broken: list[str]
    peak_rss_mb: float
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether every promise is kept."""
        return all(self.promises.values())

    def write(self, home: Path) -> Path:
        """Write `demo.json` below the platform's home, whole or not at all, and return its path."""
        path = home / "demo.json"
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return unfinished.replace(path)
