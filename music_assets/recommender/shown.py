"""Answers as examples: what was shown, rated by models and a history of before the showing, and played or not.

Nothing in the features is younger than the showing. The models must be fitted to what lies before all showings, and a
listener's history is that of the moment: what they played afterwards is the label.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from music_assets.recommender.examples import Examples
from music_assets.recommender.interactions import latest_first
from music_assets.recommender.models.blocks import each_block
from music_assets.recommender.split import translate
from music_assets.recommender.two_stage import PER_MODEL, feature_names, propose, rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from music_assets.recommender.exposures import Exposures
    from music_assets.recommender.interactions import Interactions
    from music_assets.recommender.models.base import FittedModel

LAST_PLACE: Final = 50
"""Places from here on are one: few are shown so far down, and each alone would be learnt from hardly any play."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Answers as groups of examples.

    Attributes:
        examples: what was shown, a group for each answer.
        place: per candidate where it was shown, from 1, int32.
        worth: per candidate what the place adds to its score, float64; 0 until it was learnt.
        listener: per answer the number of its listener among those of other examples, -1 for none of them, int64.
    """

    examples: Examples
    place: NDArray[np.int32]
    worth: NDArray[np.float64]
    listener: NDArray[np.int64]

    @property
    def answers(self) -> int:
        """Return how many answers there are."""
        return len(self.examples.group)

    @property
    def plays(self) -> int:
        """Return how many places were played."""
        return int(self.examples.label.sum())

    def without(self, listeners: NDArray[np.bool_]) -> Shown:
        """Return the answers to others than these listeners: bool, shape (listeners of the other examples,)."""
        # What has the number -1 looks up the last entry, which is appended for it.
        keep = ~np.append(listeners, False)[self.listener]
        rows = np.repeat(keep, self.examples.group)
        return replace(
            self,
            examples=self.examples.of(keep),
            place=self.place[rows],
            worth=self.worth[rows],
            listener=self.listener[keep],
        )

    def numbered(self, listeners: NDArray[np.bool_]) -> Shown:
        """Return the same for other examples of these listeners alone: bool, as above."""
        numbers = np.where(listeners, np.cumsum(listeners) - 1, -1)
        return replace(self, listener=np.append(numbers, -1)[self.listener])


def shown_examples(
    models: Sequence[FittedModel],
    exposures: Exposures,
    listens: Interactions,
    listeners: Sequence[str],
    *,
    per_model: int = PER_MODEL,
) -> Shown:
    """Return what was shown as examples; what the models do not know or the listener had heard is left out.

    A shown item has its place among what the models propose and what was shown with it, as at serving.

    Args:
        models: over one catalogue, fitted to listens before the first showing.
        exposures: what was shown, in a time in which the labels may be known.
        listens: those of the listeners; what lies after a showing is not looked at for it.
        listeners: of other examples, one for each group there.
        per_model: candidates of each model.
    """
    answers = _Answers.of(exposures, listens, models, per_model)
    parts = each_block(answers.rated, answers.exposures.answers)
    fresh = np.concatenate([np.zeros(0, dtype=bool), *(mask for _, mask in parts)])
    none = np.zeros((0, len(feature_names(["" for _ in models]))), dtype=np.float32)
    features = np.concatenate([none, *(block for block, _ in parts)])
    found = answers.exposures.kept(fresh)
    return _grouped(found, features[answers.exposures.telling(fresh)[fresh]], listeners)


def _grouped(found: Exposures, features: NDArray[np.float32], listeners: Sequence[str]) -> Shown:
    _, first, group = np.unique(found.answer, return_index=True, return_counts=True)
    plays = np.bincount(found.answer, weights=found.played, minlength=len(group))
    return Shown(
        examples=Examples(
            features=features,
            label=found.played.astype(np.int8),
            group=group.astype(np.int64),
            relevant=plays.astype(np.int64),
        ),
        place=np.minimum(found.place, LAST_PLACE).astype(np.int32),
        worth=np.zeros(len(found)),
        listener=translate(found.users, tuple(listeners))[found.user[first]],
    )


@dataclass(frozen=True)
class _Past:
    """Listens of some listeners in the order of listener and time: what one had heard at a moment is a slice.

    Attributes:
        ends: per listener where their listens begin, and one more.
        item: columns of the models, -1 for what they do not know.
        time: as in `Interactions`.
        columns: of the models.
    """

    ends: NDArray[np.int64]
    item: NDArray[np.int64]
    time: NDArray[np.int64]
    columns: int

    @classmethod
    def of(cls, listens: Interactions, users: NDArray[np.int64], items: tuple[str, ...]) -> _Past:
        concerned = np.zeros(len(listens.users), dtype=bool)
        concerned[users] = True
        theirs = listens.of_listeners(concerned)
        order = np.lexsort((theirs.time, theirs.user))
        ends = np.searchsorted(theirs.user[order], np.arange(len(listens.users) + 1))
        return cls(ends, translate(listens.items, items)[theirs.item[order]], theirs.time[order], len(items))

    def histories(self, user: NDArray[np.int64], moment: NDArray[np.int64]) -> Any:
        """Return what each of these listeners had heard before a moment: CSR, as `Interactions.latest_first`."""
        spans = [slice(self.ends[one], self.ends[one + 1]) for one in user]
        until = [span.start + np.searchsorted(self.time[span], at) for span, at in zip(spans, moment, strict=True)]
        row = np.repeat(np.arange(len(user)), [end - span.start for span, end in zip(spans, until, strict=True)])
        which = [np.arange(span.start, end) for span, end in zip(spans, until, strict=True)]
        listen = np.concatenate([np.empty(0, dtype=np.int64), *which])
        known = self.item[listen] >= 0
        shape = (len(user), self.columns)
        return latest_first(row[known], self.item[listen][known], self.time[listen][known], shape)


@dataclass(frozen=True)
class _Answers:
    """What was shown, with all that is needed to rate it.

    Attributes:
        exposures: of known listeners and items.
        column: per entry the models' column.
        user: per answer the listener's number among the listens.
        moment: per answer when it was shown.
        past: what was heard.
        models: what rates.
        per_model: candidates of each.
    """

    exposures: Exposures
    column: NDArray[np.int64]
    user: NDArray[np.int64]
    moment: NDArray[np.int64]
    past: _Past
    models: Sequence[FittedModel]
    per_model: int

    @classmethod
    def of(cls, exposures: Exposures, listens: Interactions, models: Sequence[FittedModel], per_model: int) -> _Answers:
        users, columns = translate(exposures.users, listens.users), translate(exposures.items, models[0].items)
        known = exposures.kept((users[exposures.user] >= 0) & (columns[exposures.item] >= 0))
        _, first = np.unique(known.answer, return_index=True)
        user = users[known.user[first]]
        past = _Past.of(listens, user, models[0].items)
        return cls(known, columns[known.item], user, known.time[first], past, models, per_model)

    def rated(self, block: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the features of a block's entries that were not heard before, and which of its entries those are."""
        start, stop = np.searchsorted(self.exposures.answer, [block.start, block.stop])
        row, column = self.exposures.answer[start:stop] - block.start, self.column[start:stop]
        history = self.past.histories(self.user[block], self.moment[block])
        heard = history.nonzero()
        pair, size = row * self.past.columns + column, self.past.columns
        # Of who had heard nothing the models say nothing: such an answer was not ranked for anybody.
        fresh = ~np.isin(pair, heard[0] * size + heard[1]) & (np.diff(history.indptr) > 0)[row]
        also = (row[fresh], column[fresh])
        rated = rate(self.models, history)
        found = propose(rated, history, self.models[0].popularity, per_model=self.per_model, also=also)
        # What is proposed ascends by row and column.
        return found.features[np.searchsorted(found.row * size + found.column, pair[fresh])], fresh
