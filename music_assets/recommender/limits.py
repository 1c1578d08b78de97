"""What the gate asks beside a better mean: no slice of listeners, no coverage, no speed and no data lost.

Each limit is measured against the champion, or against popularity where none serves yet, and told whether it holds
or not, so that a person sees how near a released model came.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from music_assets.recommender.gate import Limit
from music_assets.recommender.markdown import table
from music_assets.recommender.metrics import Evaluation, K, difference
from music_assets.recommender.slices import slices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from music_assets.recommender.models.base import FittedModel
    from music_assets.recommender.releases import Withdrawal

SLICE_LISTENERS: Final = 30
"""Listeners below which a slice says more about the few than about the model."""

SLICE_MARGIN: Final = 0.1
"""Share of a slice's NDCG that may be lost even if it is surely lost: a mean that rose paid for it."""

COVERAGE_KEPT: Final = 0.7
"""Share of the champion's coverage that must remain."""

FOLD_IN_SECONDS: Final = 0.01
"""CPU that answering one history may cost at the 99th percentile."""

LISTENS_KEPT: Final = 0.9
"""Share of the listens the champion learned from that must still be there: erasures take few, a broken load many."""

_TIMED: Final = 200
_TIMES: Final = 3


@dataclass(frozen=True, kw_only=True)
class Opponent:
    """What a challenger is held against.

    Attributes:
        name: as a person knows it.
        evaluation: on the same listeners as the challenger's.
        cutoff: up to where it learned, microseconds since 1970.
        listens: how many listens it learned from; 0 where that was not written down.
    """

    name: str
    evaluation: Evaluation
    cutoff: int = 0
    listens: int = 0


def of_slices(challenger: Evaluation, opponent: Opponent, history: Any, popularity: NDArray[np.float32]) -> list[Limit]:
    """Hold each slice: what is lost there is less than the margin, or not surely lost.

    Args:
        challenger: its evaluation.
        opponent: the other side.
        history: what the judging listeners had heard: CSR, shape (listeners, items).
        popularity: of the items, shape (items,).
    """
    found = []
    for name, mask in slices(history, popularity).items():
        theirs = opponent.evaluation.ndcg[mask]
        if len(theirs) < SLICE_LISTENERS:
            continue
        change = difference(challenger.ndcg[mask], theirs)
        bound = -SLICE_MARGIN * float(theirs.mean())
        found.append(
            Limit(
                name=f"NDCG of {name} listeners against {opponent.name}",
                value=change.mean,
                bound=bound,
                holds=change.mean >= bound or change.upper >= 0,
                objection=f"its {len(theirs)} {name} listeners lose NDCG@{challenger.k} against {opponent.name}: "
                f"{change}",
            )
        )
    return found


def of_coverage(challenger: Evaluation, opponent: Opponent, *, share: float = COVERAGE_KEPT) -> Limit:
    """Hold the share of the catalogue that is shown to anybody at all."""
    bound = share * opponent.evaluation.coverage
    return Limit(
        name=f"coverage@{challenger.k}",
        value=challenger.coverage,
        bound=bound,
        holds=challenger.coverage >= bound,
        objection=f"it shows {challenger.coverage:.1%} of the catalogue, "
        f"{opponent.name} {opponent.evaluation.coverage:.1%}",
    )


def of_latency(model: FittedModel, history: Any) -> Limit:
    """Hold the CPU that one answer costs."""
    seconds = fold_in_seconds(model, history)
    slowest = float(np.quantile(seconds, 0.99)) if len(seconds) else 0.0
    return Limit(
        name="fold-in p99 in seconds",
        value=slowest,
        bound=FOLD_IN_SECONDS,
        holds=slowest <= FOLD_IN_SECONDS,
        objection=f"an answer costs {slowest * 1000:.1f} ms of CPU at the 99th percentile, "
        f"{FOLD_IN_SECONDS * 1000:.0f} ms are allowed",
    )


def of_listens(times: NDArray[np.int64], opponent: Opponent) -> list[Limit]:
    """Hold the data: what the champion learned from is still there; nothing is held where that is not known.

    Args:
        times: of all listens, microseconds since 1970.
        opponent: the champion.
    """
    if not opponent.listens:
        return []
    left = int((times < opponent.cutoff).sum())
    until = datetime.fromtimestamp(opponent.cutoff / 1e6, UTC)
    objection = (
        f"of the {opponent.listens} listens before {until:%Y-%m-%d} that {opponent.name} learned from {left} are left; "
        "if that is right, materialise recommender/champion with accept_fewer_listens"
    )
    bound = LISTENS_KEPT * opponent.listens
    name = "listens the champion learned from"
    return [Limit(name=name, value=left, bound=bound, holds=left >= bound, objection=objection)]


def of_withdrawal(withdrawal: Withdrawal | None) -> Limit:
    """Hold a person's word: what was rolled back does not come back under another name."""
    told = f"it is {withdrawal.version} again, which was rolled back at {withdrawal.at}" if withdrawal else ""
    return Limit(name="rolled back before", value=float(bool(told)), bound=0.0, holds=not told, objection=told)


def as_table(limits: Iterable[Limit]) -> str:
    """Return the limits as a table in Markdown."""
    rows = [
        [limit.name, f"{limit.value:.4g}", f"{limit.bound:.4g}", "holds" if limit.holds else "BROKEN"]
        for limit in limits
    ]
    return table(["limit", "measured", "bound", ""], rows)


def fold_in_seconds(model: FittedModel, history: Any) -> NDArray[np.float64]:
    """Return the CPU seconds of an answer to each of some histories, the best of three each, shape (histories,).

    CPU of this thread, not the time on the wall: a busy neighbour must not refuse a model.
    """
    chosen = np.linspace(0, history.shape[0] - 1, min(_TIMED, history.shape[0])).astype(int)
    nothing = np.empty(0, dtype=np.int64)
    seconds = []
    for row in chosen:
        part = slice(history.indptr[row], history.indptr[row + 1])
        heard, counts = history.indices[part].astype(np.int64), history.data[part].astype(np.float32)
        best = np.inf
        for _ in range(_TIMES):
            begin = time.thread_time()
            model.fold_in(heard, counts, k=K, exclude=nothing)
            best = min(best, time.thread_time() - begin)
        seconds.append(best)
    return np.asarray(seconds, dtype=np.float64)
