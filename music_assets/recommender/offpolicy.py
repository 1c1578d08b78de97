"""What another policy would have earned, from what was shown and with which probability.

IPS reweights each reward by how much likelier the other policy was to show the item; SNIPS divides by the sum of the
weights, which costs a little bias and saves much variance; DR takes a model's guess and corrects it with the weighted
error of what was seen, so it is right if either the propensities or the guesses are (Dudík, Langford, Li, Doubly Robust
Policy Evaluation and Learning, ICML 2011; Swaminathan, Joachims, The Self-Normalized Estimator, NeurIPS 2015).

The intervals are percentile bootstraps over clusters: the items of one answer were seen by the same eyes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SAMPLES: Final = 1000
_BLOCK: Final = 2_000_000
"""Draws held at once."""

_GROUPS: Final = 10_000
"""Clusters that are drawn; more are put together at random, which changes no interval and bounds the work."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """What was shown, one entry per place; all arrays of shape (places,).

    Attributes:
        reward: what it earned, such as 1 for a click.
        logged: probability with which the logging policy showed it, in (0, 1].
        target: probability with which the other policy would have shown it there, in [0, 1].
        cluster: which answer or listener it belongs to, any integers.
        guess: for DR, a model's expected reward of what was shown; else None.
        baseline: for DR, the model's expected reward of the other policy at that place; else None.
    """

    reward: Floats
    logged: Floats
    target: Floats
    cluster: NDArray[np.int64]
    guess: Floats | None = None
    baseline: Floats | None = None

    def __post_init__(self) -> None:
        shapes = {name: np.shape(value) for name, value in vars(self).items() if value is not None}
        if len({*shapes.values()}) > 1:
            raise ConfigurationError(f"a log's arrays must have one shape, not {shapes}")
        if len(self.logged) and not (self.logged.min() > 0 and self.logged.max() <= 1):
            raise ConfigurationError("logged propensities must lie above 0 and be 1 at most")
        if (self.guess is None) != (self.baseline is None):
            raise ConfigurationError("DR needs both guess and baseline; IPS and SNIPS need neither")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Reward per place of the other policy, with its interval.

    Attributes:
        mean: the estimate; NaN where nothing that was shown could have been shown by the other policy.
        lower: of the interval.
        upper: of the interval.
        places: how many places it rests on.
        effective: how many places of equal weight it is worth: `(sum w)^2 / sum w^2`.
    """

    mean: float
    lower: float
    upper: float
    places: int
    effective: float

    def __str__(self) -> str:
        if np.isnan(self.mean):
            return "nothing seen"
        return f"{self.mean:.4f} [{self.lower:.4f}, {self.upper:.4f}]"


def ips(log: Log, *, level: float = 0.95, seed: int = 7) -> Estimate:
    """Return the inverse propensity estimate: unbiased, and wide where weights are large."""
    above, weight = _sides(log)
    return _estimate(log, above, np.ones_like(weight), weight, level=level, seed=seed)


def snips(log: Log, *, level: float = 0.95, seed: int = 7) -> Estimate:
    """Return the self-normalised estimate: always within the rewards that were seen."""
    above, weight = _sides(log)
    return _estimate(log, above, weight, weight, level=level, seed=seed)


def dr(log: Log, *, level: float = 0.95, seed: int = 7) -> Estimate:
    """Return the doubly robust estimate.

    Raises:
        ConfigurationError: the log has no guesses.
    """
    if log.guess is None or log.baseline is None:
        raise ConfigurationError("DR needs guess and baseline: a model's expected rewards")
    weight = log.target / log.logged
    value = log.baseline + weight * (log.reward - log.guess)
    return _estimate(log, value, np.ones_like(weight), weight, level=level, seed=seed)


def mean(reward: Floats, cluster: NDArray[np.int64], *, level: float = 0.95, seed: int = 7) -> Estimate:
    """Return the plain mean of what was seen, with the interval over clusters."""
    ones = np.ones_like(reward)
    return ips(Log(reward=reward, logged=ones, target=ones, cluster=cluster), level=level, seed=seed)


def difference(ours: Log, theirs: Log, *, level: float = 0.95, seed: int = 7) -> Estimate:
    """Return how much more reward per place one log saw than another of other listeners; weights are as in SNIPS."""
    sides = [_sides(log) for log in (ours, theirs)]
    if any(not below.sum() > 0 for _, below in sides):
        return _nothing(len(ours.reward) + len(theirs.reward))
    drawn = [
        _drawn(*side, log.cluster, seed=seed + number)
        for number, (side, log) in enumerate(zip(sides, (ours, theirs), strict=True))
    ]
    mine, its = (float(above.sum() / below.sum()) for above, below in sides)
    lower, upper = _tails(drawn[0] - drawn[1], level)
    places = len(ours.reward) + len(theirs.reward)
    return Estimate(mean=mine - its, lower=lower, upper=upper, places=places, effective=float(places))


def _sides(log: Log) -> tuple[Floats, Floats]:
    weight = log.target / log.logged
    return weight * log.reward, weight


def _estimate(log: Log, above: Floats, below: Floats, weight: Floats, *, level: float, seed: int) -> Estimate:
    """Return sum(above) / sum(below), and how it varies when whole clusters are drawn anew."""
    if not weight.sum() > 0:
        return _nothing(len(weight))
    lower, upper = _tails(_drawn(above, below, log.cluster, seed=seed), level)
    return Estimate(
        mean=float(above.sum() / below.sum()),
        lower=lower,
        upper=upper,
        places=len(weight),
        effective=float(weight.sum() ** 2 / (weight**2).sum()),
    )


def _nothing(places: int) -> Estimate:
    return Estimate(mean=np.nan, lower=np.nan, upper=np.nan, places=places, effective=0.0)


def _tails(drawn: Floats, level: float) -> tuple[float, float]:
    lower, upper = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)


def _drawn(above: Floats, below: Floats, cluster: NDArray[np.int64], *, seed: int) -> Floats:
    """Return sum(above) / sum(below) of clusters drawn with replacement, shape (_SAMPLES,)."""
    random = np.random.default_rng(seed)
    _, number = np.unique(cluster, return_inverse=True)
    group = random.permutation(int(number.max()) + 1)[number] % _GROUPS
    parts = np.stack([np.bincount(group, weights=each) for each in (above, below)])
    count = parts.shape[1]
    block = max(1, _BLOCK // count)
    ratios = []
    for done in range(0, _SAMPLES, block):
        chosen = random.integers(0, count, size=(min(block, _SAMPLES - done), count))
        top, bottom = parts[:, chosen].sum(axis=2)
        ratios.append(np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0))
    return np.concatenate(ratios)
