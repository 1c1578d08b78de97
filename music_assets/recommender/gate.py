"""The gate: a worse model does not ship, and a model that cannot be judged does not either.

A new recipe must beat popularity and the champion with the whole interval of the difference above zero, all sides
trained up to the same cut-off. The same recipe on fresher data must beat popularity and must not be worse than the
champion by more than a margin, else an ordinary day's noise would stop every retrain. Beside the mean every limit of
`music_assets.recommender.limits` must hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from music_assets.recommender.metrics import Evaluation, Interval, difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIN_LISTENERS: Final = 30
"""Below this a bootstrap over listeners says more about the few than about the model."""

MARGIN: Final = 0.05
"""Share of the champion's NDCG that the same recipe may lose on fresher data."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One thing that must hold beside the mean.

    Attributes:
        name: what is held.
        value: what was measured.
        bound: what it is held against, in the same unit.
        holds: whether the challenger may serve as far as this goes.
        objection: what is said of a challenger for which it does not hold.
    """

    name: str
    value: float
    bound: float
    holds: bool
    objection: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The gate's word.

    Attributes:
        released: whether the challenger may serve.
        reason: one sentence that says why.
        listeners: how many judged.
        over_popularity: NDCG gained over popularity, None where nobody judged.
        over_champion: NDCG gained over the champion, None without a champion to compare with.
        metrics: the challenger's means.
        limits: what was held beside the mean.
    """

    released: bool
    reason: str
    listeners: int
    over_popularity: Interval | None = None
    over_champion: Interval | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Champion:
    """What serves now, measured on the same listeners; `same_recipe` says whether the challenger is its retrain."""

    name: str
    evaluation: Evaluation
    same_recipe: bool


def judge(
    name: str,
    challenger: Evaluation,
    popularity: Evaluation,
    champion: Champion | None,
    limits: Iterable[Limit] = (),
) -> Verdict:
    """Decide whether a challenger may serve.

    Args:
        name: the challenger's recipe.
        challenger: trained up to the cut-off, measured after it.
        popularity: the same.
        champion: the same, or None where none but popularity serves yet.
        limits: what must hold beside the mean; every one that does not is told.
    """
    limits = tuple(limits)
    listeners = challenger.listeners
    if listeners < MIN_LISTENERS:
        return Verdict(
            released=False,
            reason=f"{name} is refused: {listeners} listeners can judge it, {MIN_LISTENERS} are needed",
            listeners=listeners,
            metrics=challenger.means(),
            limits=limits,
        )
    gain = difference(challenger.ndcg, popularity.ndcg)
    against = difference(challenger.ndcg, champion.evaluation.ndcg) if champion else None
    of_mean = _objection(gain, against, champion, challenger.k)
    objections = [*filter(None, [of_mean]), *(limit.objection for limit in limits if not limit.holds)]
    at = f"NDCG@{challenger.k} {challenger.ndcg.mean():.4f}, {gain} over popularity"
    return Verdict(
        released=not objections,
        reason=f"{name} is refused: {'; '.join(objections)}" if objections else f"{name} is released: {at}",
        listeners=listeners,
        over_popularity=gain,
        over_champion=against,
        metrics=challenger.means(),
        limits=limits,
    )


def refused(verdict: Verdict, name: str, objection: str) -> Verdict:
    """Return the verdict on a challenger that passed, and then was found not to be what it should."""
    return replace(verdict, released=False, reason=f"{name} is refused: {objection}")


def _objection(gain: Interval, against: Interval | None, champion: Champion | None, k: int) -> str | None:
    if gain.lower <= 0:
        return f"its NDCG@{k} is not surely above popularity's, the difference is {gain}"
    if against is None or champion is None:
        return None
    if not champion.same_recipe and against.lower <= 0:
        return f"its NDCG@{k} is not surely above that of the champion {champion.name}, the difference is {against}"
    # The mean, not the lower bound: fresher data is worth something, and with few listeners the bound alone would
    # refuse every ordinary retrain.
    allowed = MARGIN * float(champion.evaluation.ndcg.mean())
    if champion.same_recipe and against.mean < -allowed:
        return f"it lost more than {allowed:.4f} of NDCG@{k} against its predecessor, the difference is {against}"
    return None


def in_one(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the last verdict with the reasons of all: one that was refused before it must not be forgotten."""
    return replace(verdicts[-1], reason="; ".join(verdict.reason for verdict in verdicts))
