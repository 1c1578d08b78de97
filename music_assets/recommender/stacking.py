"""From listens to a second stage: tune each model, let models rate what they have not seen, grow trees, fit again.

For listens without times: what the models have not seen is a random part of each listener's items (folds). Where
there are times, `training` cuts by time instead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog
from scipy import sparse

from music_assets.recommender.examples import Examples, examples
from music_assets.recommender.interactions import Counted
from music_assets.recommender.names import STACKED
from music_assets.recommender.recipes import MAX_JUDGES, Part, recipe
from music_assets.recommender.trees import affordable, grow
from music_assets.recommender.two_stage import TwoStage, feature_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from music_assets.recommender.models.base import FittedModel
    from music_assets.recommender.recipes import Tuned
    from music_assets.recommender.trees import Trees

FOLDS: Final = 5
"""Parts of each listener's items; one picks the settings, each in turn is what the models have not seen."""

_SMALL_FOLDS: Final = 10
"""The same where `FOLDS` can be rated at least: the models then differ less from those that serve, fitted to the whole,
and the trees are better for it. Fewer would give too few examples of what was heard."""

_TUNING_SHARE: Final = 0.45
"""Of the time, for picking settings; what they cost then says how long the last fits and the judging will take."""

_FOLDING_SHARE: Final = 0.8
"""Of what is left between the two, for rating what was not seen; the rest grows trees."""

_JUDGING: Final = 2.5
"""Times the rating itself that an order of both stages costs: the union, its features and the trees."""

_MAX_LISTENERS: Final = 6000
"""Listeners of a fold whose candidates become examples."""

_REPEATS: Final = 2
"""Times that listens are dealt into folds beside the first: a small data set gives too few examples in one."""

_TRIALS: Final = 80
_SEED: Final = 11

_log: Final = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Stacked:
    """A second stage over tuned models, all fitted to everything.

    Attributes:
        model: the two stages.
        tuned: recipe to its settings.
        trees: what was grown, with the gain of each feature.
        validated: model to its NDCG on listens it had not seen; what `best` is picked by.
        folds: folds that gave examples.
    """

    model: TwoStage
    tuned: dict[str, Tuned]
    trees: Trees
    validated: dict[str, float]
    folds: int

    @property
    def best(self) -> str:
        """Name of the model that was best on what it had not seen."""
        return max(self.validated, key=self.validated.__getitem__)


def stack(listening: Counted, *, k: int, seconds: float) -> Stacked:
    """Tune, rate, grow and fit.

    Args:
        listening: all that may be learnt from.
        k: length of the list that is judged.
        seconds: time for all of it and for judging afterwards; what is tried is fitted to it.
    """
    started = time.monotonic()
    first = next(folds(listening, FOLDS))
    tuned = _tuned(first, k, seconds * _TUNING_SHARE)
    plan = _Plan.of(tuned, listening.counts.shape[0])
    begun = time.monotonic()
    parts = [_rated(first, tuned)]
    plan = plan.corrected(time.monotonic() - begun)
    ends = started + seconds - plan.last
    folding = begun + (ends - begun) * _FOLDING_SHARE
    for split in _others(listening, plan.more(parts, folding, ends)):
        if not plan.more(parts, folding, ends):
            break
        begun = time.monotonic()
        parts.append(_rated(split, tuned))
        plan = plan.corrected(time.monotonic() - begun)
    ends = started + seconds - plan.last
    rated = Examples.joined(parts)
    trees = grow(rated, feature_names(list(tuned)), k=k, seconds=ends - time.monotonic())
    fitted = tuple(entry.model.fit(listening) for entry in tuned.values())
    _log.info("stacked", folds=len(parts), seconds=round(time.monotonic() - started), trees=trees.settings)
    return Stacked(
        model=TwoStage(
            items=listening.items, popularity=fitted[0].popularity, names=tuple(tuned), models=fitted, trees=trees.text
        ),
        tuned=tuned,
        trees=trees,
        validated={**trees.rivals, TwoStage.kind: trees.ndcg},
        folds=len(parts),
    )


@dataclass(frozen=True)
class _Plan:
    """What is still to come, in seconds.

    Attributes:
        fold: to fit every model to a fold and rate its listeners.
        last: to fit every model to everything and judge all listeners.
    """

    fold: float
    last: float

    @classmethod
    def of(cls, tuned: dict[str, Tuned], listeners: int) -> _Plan:
        """Foresee from what the trials took."""
        fit = sum(entry.fit_seconds for entry in tuned.values())
        rate = sum(entry.rate_seconds for entry in tuned.values()) * _JUDGING
        return cls(fit + rate * min(listeners, _MAX_LISTENERS), fit * FOLDS / (FOLDS - 1) + rate * listeners)

    def corrected(self, taken: float) -> _Plan:
        """Return it by what a fold took: what is still to come may be as wrong, but is not put lower."""
        return _Plan(taken, self.last * max(1.0, taken / max(self.fold, 1e-9)))

    def more(self, parts: list[Examples], folding: float, ends: float) -> int:
        """Return how many folds may still be rated.

        Args:
            parts: what was rated.
            folding: when rating has to end.
            ends: when the trees have to be grown: what they could not look at need not be rated.
        """
        now, rated, each = time.monotonic(), sum(len(part.label) for part in parts), len(parts[-1].label)
        for number in range(_REPEATS * _SMALL_FOLDS):
            late = now + (number + 1) * self.fold > folding
            if late or rated + number * each >= affordable(ends - now - number * self.fold):
                return number
        return _REPEATS * _SMALL_FOLDS


def _others(listening: Counted, number: int) -> Iterator[tuple[Counted, Any]]:
    """Yield folds beside the first of all, smaller ones where there is time for so many that enough is apart."""
    if number + 1 < FOLDS:
        yield from islice(folds(listening, FOLDS), 1, None)
    for repeat in range(1, _REPEATS + 1):
        yield from folds(listening, _SMALL_FOLDS, seed=_SEED + repeat)


def folds(listening: Counted, number: int, *, seed: int = _SEED) -> Iterator[tuple[Counted, Any]]:
    """Yield (the rest, the part apart) for each fold; every pair is apart once, spread evenly over each listener."""
    counts = listening.counts
    random = np.random.default_rng(seed)
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    order = np.lexsort((random.random(counts.nnz), rows))
    place = np.empty(counts.nnz, dtype=np.int64)
    place[order] = np.arange(counts.nnz) - counts.indptr[rows]
    # Each listener begins at another fold, so that short histories do not all lose the same one.
    fold = (place + random.integers(0, number, counts.shape[0])[rows]) % number
    for apart in range(number):
        yield Counted(listening.items, _kept(counts, rows, fold != apart)), _kept(counts, rows, fold == apart)


def _kept(counts: Any, rows: NDArray[np.int64], keep: NDArray[np.bool_]) -> Any:
    return sparse.csr_matrix((counts.data[keep], (rows[keep], counts.indices[keep])), shape=counts.shape)


def able_to_judge(train: Counted, apart: Any) -> NDArray[np.int64]:
    """Return the rows of listeners with something to fold in and something to find."""
    return np.flatnonzero((np.diff(apart.indptr) > 0) & (np.diff(train.counts.indptr) > 0))


def _judges(train: Counted, apart: Any, most: int) -> NDArray[np.int64]:
    """Return at most so many of those who can judge."""
    return np.sort(np.random.default_rng(_SEED).permutation(able_to_judge(train, apart))[:most])


def _tuned(split: tuple[Counted, Any], k: int, seconds: float) -> dict[str, Tuned]:
    train, apart = split
    judges = _judges(train, apart, MAX_JUDGES)
    part = Part(train, train.counts[judges], apart[judges])
    ends, tuned = time.monotonic() + seconds, {}
    for number, name in enumerate(STACKED):
        share = (ends - time.monotonic()) / (len(STACKED) - number)
        tuned[name] = recipe(name).tune(part, k=k, trials=_TRIALS, seconds=share)
    return tuned


def _rated(split: tuple[Counted, Any], tuned: dict[str, Tuned]) -> Examples:
    train, apart = split
    judges = _judges(train, apart, _MAX_LISTENERS)
    models: list[FittedModel] = [entry.model.fit(train) for entry in tuned.values()]
    return examples(models, train.counts[judges], apart[judges])
