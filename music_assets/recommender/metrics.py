"""How good a ranking is: full ranking over all items, heard ones excluded, averaged over listeners.

NDCG's ideal uses min(k, number of test items). Differences between two models come with a paired bootstrap
interval, because the same listeners judge both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

K: Final = 10
"""Length of the list that is judged."""

PER_LISTENER: Final = ("ndcg", "recall", "precision", "hit_rate", "mrr", "map")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The metrics of one model, per listener (float64, shape (listeners,)) so that models can be compared in pairs."""

    k: int
    ndcg: NDArray[np.float64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    hit_rate: NDArray[np.float64]
    mrr: NDArray[np.float64]
    map: NDArray[np.float64]
    coverage: float

    @property
    def listeners(self) -> int:
        """How many listeners judged."""
        return len(self.ndcg)

    def means(self) -> dict[str, float]:
        """Return `name@k` to mean; without listeners every mean is 0."""
        means = {f"{name}@{self.k}": _mean(getattr(self, name)) for name in PER_LISTENER}
        return {**means, f"coverage@{self.k}": self.coverage}


@dataclass(frozen=True)
class Interval:
    """A difference of means with its confidence interval."""

    mean: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.lower:+.4f}, {self.upper:+.4f}]"


def evaluate(ranked: NDArray[np.int64], test: Any, *, k: int, items: int) -> Evaluation:
    """Judge rankings.

    Args:
        ranked: item columns best first, -1 where there was nothing more to show, shape (listeners, at least k).
        test: CSR, shape (listeners, columns), non-zero for a relevant item; every listener has one at least.
        k: length of the list that is judged.
        items: size of the catalogue, for the coverage.
    """
    ranked = ranked[:, :k]
    hits = _hits(ranked, test)
    relevant = np.diff(test.indptr).astype(np.float64)
    possible = np.minimum(relevant, k)
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[1.0], np.cumsum(gains)])[possible.astype(int)]
    found = hits.sum(axis=1)
    places = np.arange(1, hits.shape[1] + 1)
    shown = np.unique(ranked[ranked >= 0])
    return Evaluation(
        k=k,
        ndcg=(hits * gains[: hits.shape[1]]).sum(axis=1) / ideal,
        recall=found / np.maximum(relevant, 1),
        precision=found / k,
        hit_rate=(found > 0).astype(np.float64),
        mrr=(hits / places).max(axis=1, initial=0.0),
        map=(hits * np.cumsum(hits, axis=1) / places).sum(axis=1) / np.maximum(possible, 1),
        coverage=len(shown) / items if items else 0.0,
    )


def difference(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], *, seed: int = 7, samples: int = 2000, level: float = 0.95
) -> Interval:
    """Return the mean of the paired difference with its percentile bootstrap interval over listeners."""
    return intervals((ours - theirs)[:, None], seed=seed, samples=samples, level=level)[0]


def intervals(
    values: NDArray[np.float64], *, seed: int = 7, samples: int = 2000, level: float = 0.95
) -> list[Interval]:
    """Return the mean of each column with its percentile bootstrap interval, listeners drawn once for all columns.

    Args:
        values: shape (listeners, columns).
        seed: of the draws.
        samples: draws.
        level: share of the draws within the interval.
    """
    listeners = len(values)
    if not listeners:
        return [Interval(0.0, -np.inf, np.inf)] * values.shape[1]
    random = np.random.default_rng(seed)
    block = max(1, 2_000_000 // listeners)
    means = [_drawn(values, random, min(block, samples - done)) for done in range(0, samples, block)]
    tail = (1 - level) / 2
    lower, upper = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return [Interval(*map(float, each)) for each in zip(values.mean(axis=0), lower, upper, strict=True)]


def _drawn(values: NDArray[np.float64], random: np.random.Generator, samples: int) -> NDArray[np.float64]:
    """Return the columns' means over listeners drawn with replacement, shape (samples, columns)."""
    size = len(values)
    drawn = random.integers(0, size, size=(samples, size)) + size * np.arange(samples)[:, None]
    times = np.bincount(drawn.ravel(), minlength=samples * size).reshape(samples, size)
    means: NDArray[np.float64] = times @ values / size
    return means


def _hits(ranked: NDArray[np.int64], test: Any) -> NDArray[np.float64]:
    rows = np.repeat(np.arange(test.shape[0], dtype=np.int64), np.diff(test.indptr))
    relevant = rows * test.shape[1] + test.indices
    asked = np.arange(len(ranked), dtype=np.int64)[:, None] * test.shape[1] + ranked
    return (np.isin(asked, relevant) & (ranked >= 0)).astype(np.float64)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
