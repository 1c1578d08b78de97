"""When an asset is brought up to date by itself: one named condition per way.

Streams report every few seconds, so `eager()` below one would fire for every batch; the warehouse waits for
the tick of a clock instead. Below the warehouse things move at most once a tick, so they may be eager.
"""

from typing import Final

import dagster as dg

WHEN_CHECKED: Final[dg.AutomationCondition[dg.AssetKey]] = (
    dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()
)
"""As soon as an upstream moved and every blocking check on it passed. Across runs `eager()` alone does not look at
checks: it would publish a bundle whose checks failed."""

ON_CRON_HOURLY: Final[dg.AutomationCondition[dg.AssetKey]] = (
    dg.AutomationCondition.on_cron("0 * * * *") & dg.AutomationCondition.all_deps_blocking_checks_passed()
)
"""Once after each full hour, as soon as what lies upstream has moved since: prevents a build per micro-batch."""

ON_CRON_DAILY: Final[dg.AutomationCondition[dg.AssetKey]] = (
    dg.AutomationCondition.on_cron("30 3 * * *") & dg.AutomationCondition.all_deps_blocking_checks_passed()
)
"""Once a night after 03:30 UTC: prevents training at every build of the marts."""
