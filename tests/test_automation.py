"""The conditions by which assets move, driven by ticks of an ephemeral instance."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from music_assets.automation import EVERY_HOUR, ON_CRON_DAILY, ON_CRON_HOURLY, WHEN_CHECKED

Condition = dg.AutomationCondition[dg.AssetKey]


def world(condition: Condition, *, passes: bool = True, streamed: bool = False) -> dg.Definitions:
    @dg.asset(automation_condition=EVERY_HOUR if streamed else None)
    def upstream() -> None: ...

    @dg.asset_check(asset="upstream", blocking=True)
    def holds() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passes)

    @dg.asset(deps=["upstream"], automation_condition=condition)
    def downstream() -> None: ...

    return dg.Definitions(assets=[upstream, downstream], asset_checks=[holds])


class Clock:
    """Ticks the automation of a world at chosen moments."""

    def __init__(self, definitions: dg.Definitions) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.definitions = definitions
        self.cursor: dg.AutomationConditionCursor | None = None  # type: ignore[name-defined]

    def tick(self, moment: datetime) -> int:
        result = dg.evaluate_automation_conditions(
            defs=self.definitions, instance=self.instance, cursor=self.cursor, evaluation_time=moment
        )
        self.cursor = result.cursor
        return result.total_requested

    def move(self, *, expect_success: bool = True) -> None:
        done = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance, asset_selection=[dg.AssetKey("upstream")], raise_on_error=False
        )
        assert done.success is expect_success

    def follow(self) -> None:
        self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance, asset_selection=[dg.AssetKey("downstream")]
        )


NOW = datetime(2024, 5, 1, 12, 10, tzinfo=UTC)


def test_when_checked_follows_a_checked_upstream() -> None:
    clock = Clock(world(WHEN_CHECKED))
    clock.tick(NOW)
    clock.move()
    assert clock.tick(NOW + timedelta(minutes=1)) == 1


def test_when_checked_does_not_publish_what_a_blocking_check_refused() -> None:
    clock = Clock(world(WHEN_CHECKED, passes=False))
    clock.tick(NOW)
    clock.move(expect_success=False)
    assert clock.tick(NOW + timedelta(minutes=1)) == 0


@pytest.mark.parametrize(
    ("condition", "after"),
    [(ON_CRON_HOURLY, NOW + timedelta(hours=1)), (ON_CRON_DAILY, NOW + timedelta(days=1))],
    ids=["hourly", "daily"],
)
def test_on_cron_waits_for_the_clock_and_for_new_data(condition: Condition, after: datetime) -> None:
    clock = Clock(world(condition))
    clock.tick(NOW)
    clock.move()
    assert clock.tick(NOW + timedelta(minutes=1)) == 0, "it fired without the clock"
    assert clock.tick(after) == 0, "it fired on data from before the clock's tick"
    clock.move()
    assert clock.tick(after + timedelta(minutes=1)) == 1
    clock.follow()
    clock.move()
    assert clock.tick(after + timedelta(minutes=2)) == 0, "it fired twice within one period"


def test_what_a_stream_fills_moves_with_its_copy_in_one_run_an_hour() -> None:
    clock = Clock(world(EVERY_HOUR, streamed=True))
    clock.tick(NOW)
    clock.move()
    clock.instance.report_runless_asset_event(dg.AssetMaterialization("upstream"))
    assert clock.tick(NOW + timedelta(minutes=1)) == 0, "it fired for a report"
    assert clock.tick(NOW + timedelta(hours=1)) == 2, "not both at the full hour"
    clock.instance.report_runless_asset_event(dg.AssetMaterialization("upstream"))
    assert clock.tick(NOW + timedelta(hours=1, minutes=1)) == 0, "it fired twice within one hour"
