"""What a place is worth: how much more is played what stands further up, whatever it is.

LightGBM grows trees over what was shown and learns an addition to the score for each place beside them, its `position`
data (the question is that of Hu et al., Unbiased LambdaMART, WWW 2019). Only the additions are kept. Trees that are to
serve stop where they are best, often after a few rounds, when additions learnt beside them had hardly left 0 and the
items that stood high up were taken for better ones; so places come first, and are learnt to the end.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import lightgbm
import numpy as np

from music_assets.recommender.trees import COMMON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from music_assets.recommender.shown import Shown

_ROUNDS: Final = 200
"""With as many again the odds of planted places change by a tenth, and trees grown with them are no better."""

_LEARNING: Final[dict[str, Any]] = {
    "num_leaves": 7,
    "learning_rate": 0.05,
    # An addition is drawn to 0 a little: it holds a place where hardly anything was played and leaves those alone that
    # are known. At 0.1 most of what the place does is ascribed to the items again.
    "lambdarank_position_bias_regularization": 0.001,
    # Sums of several threads differ in their last digits from run to run, and it takes seconds.
    "num_threads": 1,
    # LightGBM tells what it learnt of the places in no other way.
    "verbose": 2,
}

_ADDITION: Final = re.compile(r"\[Debug\]\s+(\d+)\s+(-?[\d.]+(?:e[-+]?\d+)?)\s*$")
"""How LightGBM tells a place and its addition, one in a line, after each round."""


def weighed(shown: Shown) -> tuple[Shown, dict[int, float]]:
    """Learn what places are worth.

    Returns:
        What was shown with the worth of its places, and for each place the odds that what stands there is played, as a
        multiple of those at the first one, for items that are as good.
    """
    additions = _learnt(shown)
    first = additions[min(additions)]
    worth = np.zeros(int(shown.place.max()) + 1)
    for place, addition in additions.items():
        worth[place] = addition - first
    odds = {place: round(float(np.exp(worth[place])), 3) for place in sorted(additions)}
    return replace(shown, worth=worth[shown.place]), odds


def _learnt(shown: Shown) -> Mapping[int, float]:
    examples = shown.examples
    data = lightgbm.Dataset(examples.features, examples.label, group=examples.group, position=shown.place)
    with _told() as additions:
        lightgbm.train({**COMMON, **_LEARNING}, data, _ROUNDS)
    return additions


class _Lines:
    """A logger that keeps what LightGBM last told of each place and nothing else."""

    def __init__(self) -> None:
        self.additions: dict[int, float] = {}

    def info(self, message: str) -> None:
        """Take in a line of any level but warning."""
        self.additions.update({int(place): float(addition) for place, addition in _ADDITION.findall(message)})

    def warning(self, message: str) -> None:
        """Pass over."""


@contextmanager
def _told() -> Iterator[dict[int, float]]:
    """Give the additions of the places, which are there once growth has ended."""
    lines = _Lines()
    lightgbm.register_logger(lines)
    try:
        yield lines.additions
    finally:
        lightgbm.register_logger(logging.getLogger("lightgbm"))
