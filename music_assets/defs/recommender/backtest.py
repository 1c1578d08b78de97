"""Weeks of the past, each judged on what came before it."""

from datetime import datetime, timedelta
from typing import Final

import dagster as dg

from music_assets.automation import ON_CRON_WEEKLY
from music_assets.defs.recommender.assets import OWNERS, tracker
from music_assets.recommender.markdown import table
from music_assets.recommender.picture import WEEKS, curves, embedded
from music_assets.recommender.tracking import Run
from music_assets.resources import PlatformResource

_PARTITIONS: Final = dg.WeeklyPartitionsDefinition(start_date="2005-01-03", day_offset=1)
"""Weeks from Monday to Sunday in UTC; the first ones are there for data of the past."""


@dg.asset(
    key=["recommender", "backtest"],
    deps=[["recommender", "interactions"]],
    partitions_def=_PARTITIONS,
    kinds={"numpy"},
    automation_condition=ON_CRON_WEEKLY,
    group_name="recommender",
    owners=OWNERS,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=9), warn_window=timedelta(days=8)),
)
def backtest(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """How each model with its settings of today would have fared in a week, fitted on what lies before it alone."""
    from music_assets.recommender import backtest as weeks
    from music_assets.recommender.training import Workshop

    root = platform.settings().model_root
    begin = datetime.fromisoformat(f"{context.partition_key}T00:00:00+00:00")
    listens = Workshop(root).listens()
    week = weeks.backtest(listens, int(begin.timestamp()) * 1_000_000, weeks.current_settings(root))
    weeks.keep(root, begin.date(), week)
    judged = weeks.kept(root)
    svg = curves(WEEKS, list(judged), weeks.curve(judged))
    logged = Run(
        name=f"backtest {context.partition_key}",
        data=f"{week.listens} listens before {context.partition_key}",
        metrics={f"{model}/{name}": value for model, means in week.metrics.items() for name, value in means.items()},
        tags={"step": "backtest", "week": context.partition_key},
        files={"backtest.svg": svg},
    )
    names = list(next(iter(week.metrics.values()), {}))
    lines = [[m, *(f"{means[name]:.4f}" for name in names), week.gains[m]] for m, means in week.metrics.items()]
    return dg.MaterializeResult(
        metadata={
            "week": dg.MetadataValue.md(table(["model", *names, "NDCG over popularity"], lines)),
            "curve": dg.MetadataValue.md(embedded(svg, WEEKS)),
            "models": dg.MetadataValue.json(week.metrics),
            "test_listeners": week.listeners,
            "listens": week.listens,
            "weeks": len(judged),
            "mlflow_run": tracker(platform).log(logged),
        }
    )
