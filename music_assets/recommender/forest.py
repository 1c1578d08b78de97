"""LightGBM's trees in a form that rates some hundred candidates in microseconds; the same sums to the last bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from music_assets.recommender import kernels
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_LEAVES: Final = 32
"""Leaves of a tree: each is a bit."""

_ALL: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class Forest:
    """Trees laid out for `kernels.grown`, whose arguments these are."""

    starts: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    keeps: NDArray[np.uint32]
    values: NDArray[np.float64]

    @classmethod
    def read(cls, text: str) -> Forest:
        """Read LightGBM's text form.

        Raises:
            IntegrityError: a tree has more than `MAX_LEAVES` leaves, tests by category or is no such text.
        """
        trees = [_Tree.read(part) for part in text.partition("\nend of trees")[0].split("\nTree=")[1:]]
        tests = [test for tree in trees for test in tree.tests()]
        values = np.zeros((len(trees), kernels.SLOTS), dtype=np.float64)
        for number, tree in enumerate(trees):
            for place, leaf in enumerate(tree.leaves()):
                values[number, (1 << place) % kernels.SLOTS] = tree.values[leaf]
        return cls(
            starts=np.cumsum([0, *(len(tree.feature) for tree in trees)], dtype=np.int64),
            feature=np.asarray([feature for feature, _, _ in tests], dtype=np.int64),
            threshold=_floored(np.asarray([threshold for _, threshold, _ in tests], dtype=np.float64)),
            keeps=np.asarray([keeps for _, _, keeps in tests], dtype=np.uint32),
            values=values,
        )

    def rate(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the raw scores of candidates.

        Args:
            features: without NaN, shape (features, candidates).
        """
        rows = kernels.contiguous(features, np.float32)
        return kernels.grown(rows, self.starts, self.feature, self.threshold, self.keeps, self.values)


@dataclass(frozen=True)
class _Tree:
    """One tree: children from 0 are tests, below 0 the complement of a leaf."""

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    values: list[float]

    @classmethod
    def read(cls, text: str) -> _Tree:
        fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if int(fields["num_leaves"]) > MAX_LEAVES or int(fields["num_cat"]) or int(fields.get("is_linear", 0)):
            raise IntegrityError(
                f"the trees cannot serve: valid are at most {MAX_LEAVES} leaves, tests of numbers and constant leaves"
            )
        numbers = {name: fields.get(name, "").split() for name in ("split_feature", "left_child", "right_child")}
        feature, left, right = (list(map(int, each)) for each in numbers.values())
        threshold, values = (list(map(float, fields.get(name, "").split())) for name in ("threshold", "leaf_value"))
        return cls(feature, threshold, left, right, values)

    def leaves(self, node: int = 0) -> list[int]:
        """Return the leaves below a test, from the left."""
        if not self.feature:
            return [0]
        if node < 0:
            return [~node]
        return [*self.leaves(self.left[node]), *self.leaves(self.right[node])]

    def tests(self) -> Iterator[tuple[int, float, int]]:
        """Yield each test's feature, threshold and the leaves that stay where it fails."""
        bit = {leaf: 1 << place for place, leaf in enumerate(self.leaves())}
        for node, feature in enumerate(self.feature):
            struck = sum(bit[leaf] for leaf in self.leaves(self.left[node]))
            yield feature, self.threshold[node], _ALL & ~struck


def _floored(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 not above each: what is higher than the one is higher than the other."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)
