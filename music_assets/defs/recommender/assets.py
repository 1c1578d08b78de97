"""The recommender: listens from the marts, candidates measured on one split by time, and the gate."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pydantic

from music_assets.automation import ON_CRON_DAILY, WHEN_CHECKED
from music_assets.recommender.markdown import table
from music_assets.recommender.names import CANDIDATES
from music_assets.recommender.picture import WEEKS, curves, embedded, gains
from music_assets.recommender.tracking import Run, Tracker
from music_assets.resources import PlatformResource

if TYPE_CHECKING:
    from music_assets.recommender.candidates import Candidate

OWNERS: Final = ["team:platform"]
Told = Mapping[str, Any]
"""Metadata by name."""

DAILY: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))


class ChampionConfig(dg.Config):
    """What a person may tell the gate."""

    accept_fewer_listens: bool = pydantic.Field(
        default=False, description="Listens that the champion learned from are rightly gone: do not refuse for it."
    )


@dg.asset(
    key=["recommender", "interactions"],
    deps=[["marts", "fct_listens"]],
    kinds={"postgres", "numpy"},
    automation_condition=WHEN_CHECKED,
    group_name="recommender",
    owners=OWNERS,
    freshness_policy=DAILY,
)
def interactions(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """Who heard what when: one entry per listen, with the moment at which the test part of the time begins."""
    from music_assets.recommender.interactions import Interactions, read_listens
    from music_assets.recommender.training import Workshop

    with platform.connect() as connection:
        listens = Interactions.collect(read_listens(connection))
    split = Workshop(platform.settings().model_root).prepare(listens)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(listens),
            "listeners": len(listens.users),
            "items": len(listens.items),
            "cutoff": dg.MetadataValue.timestamp(datetime.fromtimestamp(split.cutoff / 1e6, UTC)),
            "test_listeners": split.listeners,
            "listeners_left_out": split.left_out,
        }
    )


def tracker(platform: PlatformResource) -> Tracker:
    """Return what logs runs where the settings say."""
    settings = platform.settings()
    return Tracker(uri=settings.tracking_uri, experiment=settings.mlflow_experiment_name, root=settings.tracking_root)


def _engines(platform: PlatformResource, trained: "Candidate") -> Told:
    """Show what Spark makes of the same listens and settings, where TRAIN_ENGINE=spark asks for it and it can."""
    settings = platform.settings()
    if settings.train_engine != "spark":
        return {}
    from music_assets.recommender.training import Workshop
    from music_assets.spark_als import side_by_side
    from streaming.spark import session

    compared = side_by_side(trained, Workshop(settings.model_root).split(), session(settings))
    names = list(compared["spark"])
    lines = [[engine, *(f"{figures[name]:.4f}" for name in names)] for engine, figures in compared.items()]
    return {
        "engines": dg.MetadataValue.md(table(["engine", *names], lines)),
        "engine_figures": dg.MetadataValue.json(compared),
    }


def candidate(
    name: str, description: str, *needs: str, told: Callable[[PlatformResource, "Candidate"], Told] = lambda *_: {}
) -> dg.AssetsDefinition:
    """Return the asset that trains a recipe.

    Args:
        name: of the recipe.
        description: of the asset.
        needs: assets of the recommender that it reads beside the interactions.
        told: what to tell of it beside its metrics.
    """

    @dg.asset(
        key=["recommender", f"candidates_{name}"],
        deps=[["recommender", "interactions"], *(["recommender", other] for other in needs)],
        kinds={"numpy"},
        automation_condition=ON_CRON_DAILY,
        description=description,
        group_name="recommender",
        owners=OWNERS,
        freshness_policy=DAILY,
    )
    def trained_candidate(platform: PlatformResource) -> dg.MaterializeResult[None]:
        from music_assets.recommender.training import Workshop

        trained = Workshop(platform.settings().model_root).train(name)
        logged = Run(
            name=name,
            data=trained.data,
            parameters=trained.settings,
            metrics=trained.evaluation.means(),
            tags={"step": "candidate", "cutoff": str(trained.cutoff)},
        )
        return dg.MaterializeResult(
            metadata={
                **trained.evaluation.means(),
                **told(platform, trained),
                "mlflow_run": tracker(platform).log(logged),
                "settings": dg.MetadataValue.json(trained.settings),
                "test_listeners": trained.evaluation.listeners,
                "items": len(trained.holdout.items),
            }
        )

    return trained_candidate


candidates_popularity = candidate(
    "popularity", "What most listeners heard, fitted up to the cut-off: one score per item. The floor for every model."
)
candidates_ease = candidate(
    "ease", "EASE, each item predicted from the others, fitted up to the cut-off: the strongest neighbours per item."
)
candidates_ials = candidate(
    "ials",
    "iALS, fitted up to the cut-off: a vector per item; a listener's is solved from what was heard.",
    told=_engines,
)
candidates_rp3beta = candidate(
    "rp3beta", "RP3beta, a walk from item to listener to item, fitted up to the cut-off: neighbours per item."
)
candidates_item_knn = candidate(
    "item_knn", "Cosine between items over their listeners, fitted up to the cut-off: neighbours per item."
)
candidates_gf_cf = candidate(
    "gf_cf", "GF-CF, a low-pass filter over who heard what, fitted up to the cut-off: neighbours and smooth vectors."
)
candidates_bpr = candidate(
    "bpr", "BPR, learnt from pairs of a heard and an unheard item, fitted up to the cut-off: a vector per item."
)
candidates_session = candidate(
    "session", "What is heard soon after what within a session, fitted up to the cut-off: successors per item."
)


@dg.asset(
    key=["recommender", "leaderboard"],
    deps=[*(["recommender", f"candidates_{name}"] for name in CANDIDATES), ["recommender", "ranker"]],
    kinds={"numpy"},
    automation_condition=WHEN_CHECKED,
    group_name="recommender",
    owners=OWNERS,
    freshness_policy=DAILY,
)
def leaderboard(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One row per model, the champion among them: its metrics on the same listeners, and the gain over popularity."""
    from music_assets.recommender.backtest import curve, kept
    from music_assets.recommender.training import Workshop

    workshop = Workshop(platform.settings().model_root)
    rows, parts, weeks = workshop.leaderboard(), workshop.ablation(), kept(workshop.root)
    names = list(rows[0].metrics)
    title = "NDCG over popularity, with its interval"
    svg = gains(title, [(row.model, row.over_popularity) for row in rows])
    figures = {f"{row.model.partition(' ')[0]}/{name}": value for row in rows for name, value in row.metrics.items()}
    logged = Run(
        name="leaderboard", data="", metrics=figures, tags={"step": "leaderboard"}, files={"leaderboard.svg": svg}
    )
    lines = [[row.model, *(f"{row.metrics[name]:.4f}" for name in names), row.over_popularity] for row in rows]
    return dg.MaterializeResult(
        metadata={
            "picture": dg.MetadataValue.md(embedded(svg, title)),
            "leaderboard": dg.MetadataValue.md(table(["model", *names, "NDCG over popularity"], lines)),
            "weeks": dg.MetadataValue.md(embedded(curves(WEEKS, list(weeks), curve(weeks)), WEEKS)),
            "ablation": dg.MetadataValue.md(parts.as_table()),
            "union_recall": parts.union,
            "mlflow_run": tracker(platform).log(logged),
            "models": dg.MetadataValue.json({row.model: row.metrics for row in rows}),
            "dagster/row_count": len(rows),
        }
    )


@dg.asset(
    key=["recommender", "champion"],
    deps=[
        ["recommender", "leaderboard"],
        ["marts", "dim_artist"],
        ["marts", "dim_album"],
        ["marts", "dim_track"],
        ["marts", "fct_listens"],
    ],
    kinds={"numpy"},
    # The names change with every build of the marts; only a new leaderboard is a reason to judge again.
    automation_condition=dg.AutomationCondition.eager().allow(dg.AssetSelection.assets(["recommender", "leaderboard"]))
    & dg.AutomationCondition.all_deps_blocking_checks_passed(),
    group_name="recommender",
    owners=OWNERS,
    freshness_policy=DAILY,
)
def champion(config: ChampionConfig, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """The one bundle that may serve: the challenger refitted on everything if the gate lets it, else what served."""
    from music_assets.recommender.contexts import read_contexts
    from music_assets.recommender.interactions import read_names
    from music_assets.recommender.limits import as_table
    from music_assets.recommender.training import Workshop

    with platform.connect() as connection:
        names, contexts = read_names(connection), read_contexts(connection)
    workshop = Workshop(platform.settings().model_root)
    outcome = workshop.release(names, contexts, accept_fewer_listens=config.accept_fewer_listens)
    logged = Run(
        name=outcome.version,
        data="",
        metrics=outcome.verdict.metrics,
        tags={"step": "release", "released": str(outcome.verdict.released), "reason": outcome.verdict.reason},
        files={"limits.md": as_table(outcome.verdict.limits)},
    )
    return dg.MaterializeResult(
        metadata={
            "mlflow_run": tracker(platform).log(logged),
            "version": outcome.version,
            "released": outcome.verdict.released,
            "reason": outcome.verdict.reason,
            "test_listeners": outcome.verdict.listeners,
            "over_popularity": str(outcome.verdict.over_popularity),
            "over_champion": str(outcome.verdict.over_champion),
            "limits": dg.MetadataValue.md(as_table(outcome.verdict.limits)),
            "retrieval": outcome.retrieval,
            "contexts": len(contexts),
            **outcome.verdict.metrics,
        }
    )


@dg.asset(
    key=["recommender", "online_metrics"],
    deps=[["marts", "fct_recommendations"]],
    kinds={"postgres", "numpy"},
    automation_condition=ON_CRON_DAILY,
    group_name="recommender",
    owners=OWNERS,
    freshness_policy=DAILY,
)
def online_metrics(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """How the last four weeks' recommendations fared, by model, arm and place, and arm against arm with intervals."""
    from music_assets.recommender import online

    with platform.connect() as connection:
        shown = online.read_exposures(connection)
    lines, compared = online.lines(shown), online.comparisons(shown)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(lines),
            "places": shown.num_rows,
            "by_model": dg.MetadataValue.md(online.lines_table(lines)),
            "by_place": dg.MetadataValue.json({f"{line.model} {line.arm}": line.by_place for line in lines}),
            "arms": dg.MetadataValue.md(online.comparisons_table(compared)),
        }
    )
