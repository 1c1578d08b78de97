"""The report's file and the summary's text."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from music_assets.demo import ask, summary
from music_assets.demo.report import LedgerLine, Recommendations, Recommended, Report, Stage, TruthReport

KEYS = {
    "stages", "ledger", "truth", "models", "gate", "recommendations", "trending", "promises", "broken", "peak_rss_mb",
    "seconds",
}  # fmt: skip
COUNTS = {"received": 9, "stored": 6, "duplicate": 2, "dead_lettered": 1}


@pytest.fixture
def report() -> Report:
    planted = {
        "posted": 10,
        "rejected": {"rating": 1},
        "topics": {"events_listens": {**COUNTS, "reasons": {"not_utf8": 1}}},
        "catalogue": {"catalog_songs": 2},
        "trend": "track:t",
    }
    item = Recommended(item_id="track:t", name="Quiet [Ferry]", score=0.5, source="ease", reason="because of [you]")
    return Report(
        stages=[Stage(name="stack", seconds=1.5, rows=0)],
        ledger={"events_listens": LedgerLine(**COUNTS)},
        truth=TruthReport(planted=planted, found={**planted, "posted": 9}),
        models={"popularity": {"ndcg@10": 0.04}, "ease": {"ndcg@10": 0.28}},
        gate="ease is refused: 7 listeners can judge it, 30 are needed",
        recommendations=[Recommendations(user_id="u", model_version="v1", rung="personal", items=[item])],
        trending=["track:t", "track:u"],
        promises={"nothing_lost": True, "trend_found": False},
        broken=["track:u leads"],
        peak_rss_mb=1234.5,
        seconds=99.0,
    )


def test_the_file_has_the_fields_that_programs_read(report: Report, tmp_path: Path) -> None:
    written = json.loads(report.write(tmp_path).read_text(encoding="utf-8"))
    assert set(written) == KEYS
    assert set(written["stages"][0]) == {"name", "seconds", "rows"}
    assert written["ledger"] == {"events_listens": COUNTS}
    assert set(written["truth"]) == {"planted", "found"}
    assert Report.model_validate(written) == report
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


def test_a_broken_promise_breaks_the_run(report: Report) -> None:
    assert not report.kept
    assert report.model_copy(update={"promises": {"nothing_lost": True}}).kept


def test_the_summary_tells_counts_gate_reasons_and_addresses(report: Report) -> None:
    out = io.StringIO()
    summary.show(report, Console(file=out, width=120), {"API docs": "http://127.0.0.1:8000/docs"})
    text = out.getvalue()
    for piece in (
        "events_listens", "0.2800", "7 listeners can judge it", "Quiet [Ferry]", "because of [you]",
        "BROKEN  trend_found", "kept    nothing_lost", "track:u leads", "1,234 MiB", "differs",
        "http://127.0.0.1:8000/docs",
    ):  # fmt: skip
        assert piece in text, piece


def test_recommendations_are_held_to_items_version_and_reasons(report: Report) -> None:
    good = report.recommendations
    assert ask.recommendation_problems(good, version="v1", personal=True) == []
    assert "champion is v2" in ask.recommendation_problems(good, version="v2", personal=True)[0]
    silent = [Recommendations(user_id="u", model_version="v1", rung="personal", items=[])]
    assert ask.recommendation_problems(silent, version="v1", personal=True) == ["u is recommended nothing"]
    mute = good[0].items[0].model_copy(update={"reason": ""})
    assert ask.recommendation_problems([good[0].model_copy(update={"items": [mute]})], version="v1", personal=True)
    popular = [good[0].model_copy(update={"rung": "popular"})]
    assert ask.recommendation_problems(popular, version="v1", personal=True)
    assert ask.recommendation_problems(popular, version="v1", personal=False) == []
    assert ask.recommendation_problems([], version="v1", personal=True) == ["no listener was asked for"]


def test_the_trend_must_lead() -> None:
    assert ask.trend_problems("track:t", ["track:t", "track:u"]) == []
    assert ask.trend_problems("track:t", ["track:u", "track:t"])
    assert ask.trend_problems("track:t", [])
