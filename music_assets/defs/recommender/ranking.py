"""The second stage: what was shown to listeners, and the trees that learn from it and from what was heard."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from music_assets.automation import EVERY_NIGHT
from music_assets.defs.recommender.assets import DAILY, OWNERS, Told
from music_assets.recommender.markdown import table
from music_assets.recommender.names import FIRST_STAGE
from music_assets.recommender.picture import PLACES, curves, embedded
from music_assets.resources import PlatformResource

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPOSURES = dg.AssetKey(["recommender", "exposures"])


@dg.asset(
    key=_EXPOSURES,
    deps=[["recommender", "interactions"], ["marts", "fct_recommendations"]],
    kinds={"postgres", "numpy"},
    automation_condition=EVERY_NIGHT & ~dg.AutomationCondition.any_deps_missing(),
    group_name="recommender",
    owners=OWNERS,
    freshness_policy=DAILY,
)
def exposures(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """What was shown to whom at which place, and what of it was played, in the time that the ranker learns from."""
    from music_assets.recommender.exposures import Exposures, read_exposures
    from music_assets.recommender.training import Workshop

    workshop = Workshop(platform.settings().model_root)
    since, until = workshop.teaching_time()
    with platform.connect() as connection:
        found = Exposures.collect(read_exposures(connection, since=since, until=until))
    workshop.show(found)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": len(found), "answers": found.answers, "plays": found.plays}
    )


@dg.asset(
    key=["recommender", "ranker"],
    deps=[*(["recommender", f"candidates_{name}"] for name in ("popularity", *FIRST_STAGE)), _EXPOSURES],
    kinds={"lightgbm"},
    # What was shown is read as it is, and not waited for: the night has collected it before.
    automation_condition=dg.AutomationCondition.eager().ignore(dg.AssetSelection.assets(_EXPOSURES))
    & dg.AutomationCondition.all_deps_blocking_checks_passed(),
    group_name="recommender",
    owners=OWNERS,
    freshness_policy=DAILY,
)
def ranker(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """Trees that order what the candidates propose, grown on the last listens before the cut-off; they ask to serve."""
    from music_assets.recommender.training import Workshop

    found = Workshop(platform.settings().model_root).rank()
    if isinstance(found, str):
        return dg.MaterializeResult(metadata={"ranks": False, "reason": found})
    return dg.MaterializeResult(
        metadata={
            "ranks": True,
            **found.evaluation.means(),
            **shown_metadata(found.settings.get("shown", {})),
            "settings": dg.MetadataValue.json(found.settings),
            "test_listeners": found.evaluation.listeners,
        }
    )


def shown_metadata(told: "Mapping[str, Any]") -> Told:
    """Return what the trees learnt from what was shown, with what each place is worth as table and picture."""
    facts = {f"shown_{name}": value for name, value in told.items() if name not in {"odds", "learnt"}}
    odds = told.get("odds")
    if not odds:
        return {"learnt_from_shown": bool(told.get("learnt")), **facts}
    picture = curves(PLACES, list(odds), {"learnt": list(odds.values())})
    return {
        "learnt_from_shown": bool(told["learnt"]),
        **facts,
        "worth_of_places": dg.MetadataValue.md(embedded(picture, PLACES)),
        "odds_by_place": dg.MetadataValue.md(table(["place", "odds of a play"], list(map(list, odds.items())))),
    }
