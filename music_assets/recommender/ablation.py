"""What each candidate model adds: how much of what is heard it proposes, and what the union loses without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from music_assets.recommender.markdown import table
from music_assets.recommender.metrics import Interval, difference
from music_assets.recommender.names import FIRST_STAGE, TWO_STAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from music_assets.recommender.candidates import Candidate

UNION: Final = 200
"""Items proposed to each listener, by one model or by all together."""

_LISTENERS: Final = 2000
"""Listeners whose lists of `UNION` are looked at: a recall of hundreds of items moves little from one to the next."""

_SEED: Final = 7


@dataclass(frozen=True)
class Share:
    """A model's part in the union.

    Attributes:
        model: recipe.
        ndcg: of its own list.
        recall: mean recall of its own best `UNION`.
        without: mean recall of the others' union of the same size, or None for a model that is not of it.
    """

    model: str
    ndcg: float
    recall: float
    without: float | None


@dataclass(frozen=True)
class Ablation:
    """The candidates together.

    Attributes:
        shares: one for each model, the best list first.
        union: mean recall of the union of `UNION` items.
        best_single: the model whose list had the best NDCG on the same listeners.
        gain: NDCG of the second stage over it, paired over listeners; None where there is no second stage.
    """

    shares: tuple[Share, ...]
    union: float
    best_single: str
    gain: Interval | None

    def as_table(self) -> str:
        """Return Markdown."""
        lines = [
            [
                each.model,
                f"{each.ndcg:.4f}",
                f"{each.recall:.4f}",
                "" if each.without is None else f"{each.without:.4f}",
            ]
            for each in self.shares
        ]
        gain = f"ranker over {self.best_single}: {self.gain}" if self.gain else "there is no second stage"
        heads = ["model", "NDCG", f"recall@{UNION}", f"union's recall@{UNION} without it"]
        return f"{table(heads, lines)}\n\nunion's recall@{UNION}: {self.union:.4f}; {gain}"


def ablation(candidates: Mapping[str, Candidate]) -> Ablation:
    """Compare candidates that were judged on the same listeners: NDCG over all of these, recall over some.

    Args:
        candidates: recipe to candidate; the second stage among them if there is one.
    """
    singles = {name: candidate for name, candidate in candidates.items() if name != TWO_STAGE}
    drawn = _drawn(next(iter(singles.values())).test.shape[0])
    lists = {name: each.holdout.recommend(each.history[drawn], k=UNION) for name, each in singles.items()}
    test = next(iter(singles.values())).test[drawn]
    proposing = [name for name in FIRST_STAGE if name in lists]
    shares = [
        Share(
            model=name,
            ndcg=float(candidate.evaluation.ndcg.mean()) if candidate.evaluation.listeners else 0.0,
            recall=recall([lists[name]], test),
            without=recall([lists[each] for each in proposing if each != name], test) if name in proposing else None,
        )
        for name, candidate in singles.items()
    ]
    shares.sort(key=lambda share: -share.ndcg)
    best, ranker = shares[0].model, candidates.get(TWO_STAGE)
    gain = difference(ranker.evaluation.ndcg, singles[best].evaluation.ndcg) if ranker else None
    union = recall([lists[name] for name in proposing], test)
    return Ablation(shares=tuple(shares), union=union, best_single=best, gain=gain)


def _drawn(listeners: int) -> NDArray[np.int64]:
    """Return the rows of at most `_LISTENERS`, always the same ones."""
    return np.sort(np.random.default_rng(_SEED).permutation(listeners)[:_LISTENERS])


def recall(lists: Sequence[NDArray[np.int64]], test: Any) -> float:
    """Return the mean share of the relevant items within the first `UNION` of the lists, taken in turns.

    Args:
        lists: of columns best first, -1 where there was no more, shape (listeners, UNION) each.
        test: CSR, the same listeners, non-zero for a relevant item.
    """
    if not lists or not test.shape[0]:
        return 0.0
    turns = np.stack(lists, axis=2).reshape(len(lists[0]), -1)
    found = [np.isin(test[row].indices, _first(turn)).mean() for row, turn in enumerate(turns) if test[row].nnz]
    return float(np.mean(found)) if found else 0.0


def _first(turns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first `UNION` different columns."""
    columns, places = np.unique(turns[turns >= 0], return_index=True)
    return columns[np.argsort(places)][:UNION]
