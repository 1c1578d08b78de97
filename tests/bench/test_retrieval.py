"""The retrieval bench: what serves is held to the limit of its size, and a small catalogue is measured to the end."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from music_assets.bench.retrieval import EXACT, FLAT, INDEX, Catalogue, requirements
from music_assets.cli import main


def measured(serves: str, ratio: float, recall: float) -> Catalogue:
    return Catalogue(
        serves=serves, told="", microseconds={}, ratio={FLAT: 1.0, serves: ratio}, recall={FLAT: 1.0, serves: recall},
        build_seconds=1, index_mb=1,
    )  # fmt: skip


def test_the_scan_must_be_as_quick_and_the_index_ten_times_as_quick() -> None:
    found = {100_000: measured(EXACT, 1.05, 1.0), 200_000: measured(INDEX, 0.05, 0.995)}
    assert [each.met for each in requirements(found)] == [True, True, True, True]
    found = {100_000: measured(EXACT, 1.2, 1.0), 200_000: measured(INDEX, 0.2, 0.98)}
    assert [each.met for each in requirements(found)] == [True, False, False, False]


def test_beyond_the_limit_a_scan_is_held_to_the_rate_of_an_index() -> None:
    assert [each.met for each in requirements({200_000: measured(EXACT, 0.4, 1.0)})] == [True, False]


def test_a_small_catalogue_is_measured() -> None:
    options = ["--items", "6000", "--factors", "16", "--listeners", "500", "--queries", "20", "--repeat", "2"]
    ran = CliRunner().invoke(main, ["bench", "retrieval", *options, "--json"])
    report = json.loads(ran.stdout)
    found = report["measured"]["6000"]
    assert found["serves"] == EXACT
    # Items that nobody heard are equals, of which each side may take another.
    assert found["recall"][EXACT] > 0.99
    assert found["recall"][INDEX] > 0.5
    assert min(found["microseconds"].values()) > 0
    # Of so few items a call costs more than the scan: the limit may be missed, the recall not.
    assert [each["met"] for each in report["requirements"] if each["name"].startswith("recall")] == [True]
