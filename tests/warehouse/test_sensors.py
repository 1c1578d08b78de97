"""The sensor that lets the warehouse follow the lake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from music_assets.defs.staging.sensors import silver_moved
from music_assets.resources import PlatformResource
from music_assets.settings import Settings
from tests.test_definitions import repository
from tests.warehouse.lakes import write

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.lake import Lake


class Parts(PlatformResource):
    home: str
    interval: int = 60

    def settings(self) -> Settings:
        return Settings(_env_file=None, lakehouse_path=self.home, warehouse_interval_seconds=self.interval)


class Clockwork:
    """Evaluates the sensor at chosen moments, cursor in hand."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.cursor = 1000.0, None
        self.instance = dg.DagsterInstance.ephemeral()
        self._parts = Parts(home=str(home))
        self.requested: list[dg.RunRequest] = []
        monkeypatch.setattr("music_assets.defs.staging.sensors.time.time", lambda: self.now)

    def look(self, *, after: float) -> int:
        self.now += after
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"platform": self._parts},
            repository_def=repository(),
        )  # fmt: skip
        answer: Any = silver_moved(context)
        if isinstance(answer, dg.SkipReason):
            return 0
        self.cursor = answer.cursor
        self.requested = answer.run_requests or []
        return len(self.requested)

    def ended(self, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        """Let the run that was asked for end like this."""

        @dg.job
        def anything() -> None: ...

        return self.instance.create_run_for_job(anything, tags={"dagster/sensor_name": "silver_moved"}, status=status)

    def chosen(self) -> set[str] | None:
        [request] = self.requested
        return request.asset_selection and {key.to_user_string() for key in request.asset_selection}


@pytest.fixture
def clockwork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    return Clockwork(tmp_path / "lake", monkeypatch)


def test_it_asks_once_for_what_moved_and_not_more_often_than_its_interval(clockwork: Clockwork, lake: Lake) -> None:
    assert clockwork.look(after=0) == 0, "the first look only remembers"
    assert clockwork.look(after=61) == 0, "an empty lake has not moved"
    write(lake, "events_listens", {"event_id": "a"})
    assert clockwork.look(after=1) == 1
    assert clockwork.look(after=61) == 0, "nothing came since"
    write(lake, "events_listens", {"event_id": "b"})
    assert clockwork.look(after=61) == 1
    write(lake, "events_listens", {"event_id": "c"})
    assert clockwork.look(after=30) == 0
    assert clockwork.look(after=31) == 1, "what moved within the interval is not forgotten"


def test_rows_that_went_away_count_as_well(clockwork: Clockwork, lake: Lake) -> None:
    write(lake, "events_listens", {"event_id": "a"}, {"event_id": "b"})
    clockwork.look(after=0)
    assert clockwork.look(after=61) == 1
    marks = json.loads(clockwork.cursor or "")["marks"]
    assert marks == {"silver/events_listens": 2}
    clockwork.cursor = json.dumps({"marks": {"silver/events_listens": 3}, "at": clockwork.now})
    assert clockwork.look(after=61) == 1


def test_it_waits_for_the_run_before(clockwork: Clockwork, lake: Lake) -> None:
    write(lake, "events_listens", {"event_id": "a"})
    clockwork.look(after=0)
    run = clockwork.ended(dg.DagsterRunStatus.STARTED)
    assert clockwork.look(after=61) == 0
    clockwork.instance.delete_run(run.run_id)
    assert clockwork.look(after=1) == 1


def test_what_lies_downstream_is_built_and_everything_where_more_may_be_missing(
    clockwork: Clockwork, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lake, "events_listens", {"event_id": "0"})
    clockwork.look(after=0)

    def chosen(number: int, table: str = "events_listens") -> set[str] | None:
        write(lake, table, {"event_id": str(number)})
        assert clockwork.look(after=61) == 1
        return clockwork.chosen()

    assert chosen(1) is None, "the first run builds what there is nothing of"
    clockwork.ended(dg.DagsterRunStatus.FAILURE)
    assert chosen(2) is None, "the run before failed"
    clockwork.ended(dg.DagsterRunStatus.SUCCESS)
    listens = chosen(3)
    assert listens is not None
    assert {"silver/events_listens", "staging/events_listens", "lake/ledger", "source/item_links"} <= listens
    assert {"staging/stg_silver__listens", "marts/fct_listens", "marts/mart_recap_facts"} <= listens
    assert not listens & {"staging/events_clicks", "staging/stg_silver__clicks", "marts/dim_time"}
    assert not any(name.startswith("recommender/") for name in listens)
    clockwork.ended(dg.DagsterRunStatus.SUCCESS)
    clicks = chosen(4, "events_clicks")
    assert clicks is not None
    assert {"staging/stg_silver__clicks", "marts/fct_recommendations"} <= clicks
    assert "staging/stg_silver__listens" not in clicks
    clockwork.ended(dg.DagsterRunStatus.SUCCESS)
    monkeypatch.setattr("music_assets.warehouse.dbt.fingerprint", lambda: "another")
    assert chosen(5) is None, "the project is another one"
