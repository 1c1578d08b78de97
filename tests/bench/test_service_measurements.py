"""The running service measured for some seconds: on the Python engine, which starts without a JVM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from music_assets.bench import catchup, latency, soak
from tests.streaming.conftest import recreate_topics

if TYPE_CHECKING:
    from music_assets.bench.arena import Arena

pytestmark = [pytest.mark.slow, pytest.mark.heavy, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _empty_topics(place: Arena) -> None:
    recreate_topics(place.settings.bootstrap_servers)


def test_each_accepted_event_is_found_in_silver_and_in_a_chart(place: Arena) -> None:
    options = latency.Options(engine="python", rate=50, minutes=0.1, warm_up_seconds=2, trending_seconds=2)

    report = latency.run(options, place, lambda _sentence: None)

    assert report.measured["accepted"] == pytest.approx(400, abs=25)
    assert report.measured["counted"] == pytest.approx(300, abs=25)
    seconds = report.measured["seconds"]["silver"]
    assert 0 < seconds["p50"] <= seconds["p95"] <= seconds["max"]
    assert report.measured["seconds"]["Redis"]["p95"] > 0
    by_name = {each.name: each for each in report.requirements}
    assert by_name["events a chart lacks"].met
    assert by_name["events that never came to Redis"].met
    assert by_name["accepted to silver, p95 s, python"].limit == 3.0
    assert report.measured["charts"][-1]["events"] > 300
    assert report.measured["service_cores"] > 0


def test_a_backlog_is_taken_in_by_the_service_alone(place: Arena) -> None:
    options = catchup.Options(engine="python", events=3000, trending_seconds=2)

    report = catchup.run(options, place, lambda _sentence: None)

    seconds = report.measured["seconds"]
    assert 0 < seconds["ready"] < seconds["silver"] < seconds["gold"]
    assert report.measured["peak_mb"] > 50
    assert [each.met for each in report.requirements] == [True, True]


def test_a_soak_samples_the_services_memory(place: Arena) -> None:
    report = soak.run(
        soak.Options(engine="python", rate=100, minutes=0.2, warm_up_seconds=6), place, lambda _sentence: None
    )

    assert report.measured["accepted"] == pytest.approx(1800, abs=50)
    assert len(report.measured["memory_mb"]) >= 3
    assert all(sum(mb.values()) > 50 for _, mb in report.measured["memory_mb"])
    warm = report.measured["warm"]
    assert report.requirements[0].value == warm["all"]["growth"]
    assert any(name.startswith("python") for name in warm)
    assert warm["all"]["max_mb"] <= sum(each["max_mb"] for name, each in warm.items() if name != "all") + 0.01
