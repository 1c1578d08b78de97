"""When an asset is brought up to date by itself: one named condition per way.

Streams report every few seconds, so `eager()` below one would fire for every batch; the warehouse waits for
the tick of a clock instead. Below the warehouse things move at most once a tick, so they may be eager.
"""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

WHEN_CHECKED: Final[dg.AutomationCondition[Any]] = (
    dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()
)
"""As soon as an upstream moved and every blocking check on it passed. Across runs `eager()` alone does not look at
checks: it would publish a bundle whose checks failed."""

ON_CRON_HOURLY: Final[dg.AutomationCondition[Any]] = (
    dg.AutomationCondition.on_cron("0 * * * *") & dg.AutomationCondition.all_deps_blocking_checks_passed()
)
"""Once after each full hour, as soon as what lies upstream has moved since: prevents a build per micro-batch."""

_HOUR_PASSED: Final[dg.AutomationCondition[Any]] = dg.AutomationCondition.cron_tick_passed("0 * * * *")

EVERY_HOUR: Final[dg.AutomationCondition[Any]] = _HOUR_PASSED.since_last_handled()
"""At each full hour, whether or not something moved, for what a stream fills and for its copies in the warehouse.

One tick makes one run of both: it brings the lake up to now, checks it and copies it, and a blocking check stops the
copy. A stream's own report is no run, so to wait for a check on the newest report would be to wait for ever."""

_NIGHT_PASSED: Final[dg.AutomationCondition[Any]] = dg.AutomationCondition.cron_tick_passed("15 2 * * *")

EVERY_NIGHT: Final[dg.AutomationCondition[Any]] = _NIGHT_PASSED.since_last_handled()
"""Once a night at 02:15 UTC, whether or not something moved: upkeep also removes what grew old."""

_READ_AS_IT_IS: Final = dg.AssetSelection.assets(["recommender", "item_features"])

ON_CRON_DAILY: Final[dg.AutomationCondition[Any]] = (
    dg.AutomationCondition.on_cron("30 3 * * *").ignore(_READ_AS_IT_IS)
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
)
"""Once a night after 03:30 UTC: prevents training at every build of the marts. What is known of the items is read as it
is, and not waited for: the night has made it before."""

ON_CRON_WEEKLY: Final[dg.AutomationCondition[Any]] = (
    dg.AutomationCondition.on_cron("0 5 * * 1") & dg.AutomationCondition.all_deps_blocking_checks_passed()
)
"""Once a week after Monday 05:00 UTC, for the week that ended: by then the night's training is over."""

_AGAIN_SECONDS: Final = 300
"""After so long what waits, because a run failed or was killed, is asked for again."""


def ask_for_what_waits(
    context: dg.SensorEvaluationContext, look: Callable[[], Iterable[object]]
) -> dg.SensorResult | dg.SkipReason:
    """Return a sensor's answer for a request table: what waits is asked for once, and again every few minutes.

    Args:
        context: of the sensor.
        look: returns the names of the requests that wait.
    """
    import psycopg

    try:
        names = sorted(str(each) for each in look())
    except psycopg.OperationalError as error:
        return dg.SkipReason(f"PostgreSQL does not answer: {type(error).__name__}")
    now = json.dumps([int(datetime.now(UTC).timestamp() // _AGAIN_SECONDS), *names])
    if not names or now == context.cursor:
        return dg.SensorResult(skip_reason="nothing waits that was not asked for already", cursor=now)
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=now)
