"""The loops of an answer, and one of training, that numpy and scipy have no call for, compiled by numba.

Each does in one pass what several calls over the whole catalogue would do. They are kept on the disk once compiled,
so a process compiles them only where its code or its processor is new. Arrays are contiguous and of one kind each:
another kind would be compiled again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    P = ParamSpec("P")
    R = TypeVar("R")

PIECE: Final = 64
"""Neighbouring scores of which `reaching` looks at the highest first."""

CHUNK: Final = 512
"""Candidates that go through the trees together: their features stay in the nearest cache."""

SLOTS: Final = 37
"""Modulo 37 all powers of two up to the 31st differ: a bit finds its place without being counted."""

_REORDERED: Final = {"reassoc", "contract", "nsz"}
"""Sums may be taken in any order: that is what lets a processor take sixteen numbers at once."""


def _compiled(*, fastmath: set[str] | bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    decorator: Callable[[Callable[P, R]], Callable[P, R]] = numba.njit(cache=True, nogil=True, fastmath=fastmath)
    return decorator


@_compiled()
def add_rows(
    base: NDArray[np.float32], indptr: NDArray[np.int64], indices: NDArray[np.int32], data: NDArray[np.float32],
    rows: NDArray[np.int64], weights: NDArray[np.float32], out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Fill `out` with `base` and the weighted rows of a CSR matrix."""
    out[:] = base
    for place in range(len(rows)):
        weight = weights[place]
        for at in range(indptr[rows[place]], indptr[rows[place] + 1]):
            out[indices[at]] += weight * data[at]


@_compiled(fastmath=_REORDERED)
def add_products(
    base: NDArray[np.float32], codes: NDArray[np.int8], scale: NDArray[np.float32], query: NDArray[np.int16],
    step: np.float32, out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Fill `out` with `base` and the products of rounded vectors, `codes * scale`, with a query, `query * step`.

    Sums of whole numbers of 32 bits: a processor takes twice as many at once as of floats.
    """
    for row in range(codes.shape[0]):
        product = np.int32(0)
        for place in range(codes.shape[1]):
            product = np.int32(product + np.int32(np.int32(codes[row, place]) * np.int32(query[place])))
        out[row] = base[row] + np.float32(product) * (scale[row] * step)


@_compiled(fastmath=_REORDERED)
def products(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], query: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Add the products of some rows with a query to `out`, shape (rows,)."""
    for place in range(len(rows)):
        row, product = rows[place], np.float32(0)
        for number in range(vectors.shape[1]):
            product += vectors[row, number] * query[number]
        out[place] += product


@_compiled(fastmath=_REORDERED)
def moments(scores: NDArray[np.float32]) -> tuple[float, float]:
    """Return mean and standard deviation; in two passes, so that a large mean takes no digits of the deviation."""
    total = np.float32(0)
    for place in range(len(scores)):
        total += scores[place]
    mean = np.float32(total / len(scores))
    square = np.float32(0)
    for place in range(len(scores)):
        square += (scores[place] - mean) * (scores[place] - mean)
    return float(mean), float(np.sqrt(square / len(scores)))


@_compiled(fastmath={"nnan", "nsz"})
def reaching(scores: NDArray[np.float32], error: NDArray[np.float32], times: float, count: int) -> NDArray[np.int64]:
    """Return ascending columns, the `count` highest true scores surely among them, minus infinity nowhere.

    The `count`-th highest of the maxima of short pieces is a floor that so many scores reach at least and few more do.

    Args:
        scores: each within `times * error` of the true one.
        error: not negative, of the same shape.
        times: what it is multiplied by; 0 where scores are true.
        count: how many, at least 1.
    """
    size, factor = len(scores), np.float32(times)
    piece = max(1, min(PIECE, size // (4 * count)))
    pieces = size // piece
    least, most = np.empty(pieces, np.float32), np.empty(pieces, np.float32)
    for number in range(pieces):
        low, high = np.float32(-np.inf), np.float32(-np.inf)
        for place in range(number * piece, (number + 1) * piece):
            low = max(low, scores[place] - factor * error[place])
            high = max(high, scores[place] + factor * error[place])
        least[number], most[number] = low, high
    floor = np.partition(least, pieces - count)[pieces - count] if pieces >= count else np.float32(-np.inf)
    found = np.empty(size, np.int64)
    length = 0
    for number in range(pieces + 1):
        if number == pieces or most[number] >= floor:
            for place in range(number * piece, min((number + 1) * piece, size)):
                if scores[place] + factor * error[place] >= floor and scores[place] > np.float32(-np.inf):
                    found[length] = place
                    length += 1
    return found[:length].copy()


@_compiled()
def loudest(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], data: NDArray[np.float32], rows: NDArray[np.int64],
    weights: NDArray[np.float32], columns: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """Return for each column the place in `rows` of the row that holds most for it, weighted; -1 if none more than 0.

    Of equals the first. The matrix is square, a row holds a column once.
    """
    place = np.full(len(indptr) - 1, -1, np.int32)
    for number in range(len(columns)):
        place[columns[number]] = number
    most = np.zeros(len(columns), np.float32)
    found = np.full(len(columns), -1, np.int64)
    for number in range(len(rows)):
        for at in range(indptr[rows[number]], indptr[rows[number] + 1]):
            column, said = place[indices[at]], weights[number] * data[at]
            if column >= 0 and said > most[column]:
                most[column], found[column] = said, number
    return found


@_compiled()
def grown(
    features: NDArray[np.float32], starts: NDArray[np.int64], feature: NDArray[np.int64],
    threshold: NDArray[np.float32], keeps: NDArray[np.uint32], values: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """Return the sum of trees for some candidates, float64, shape (candidates,).

    After QuickScorer (Lucchese et al., SIGIR 2015): a leaf is a bit, counted from the left, and every test that fails
    strikes out the leaves to its left; the lowest bit left is where a candidate ends. Tests come in the outer loop, so
    that one instruction takes sixteen candidates through it.

    Args:
        features: shape (features, candidates).
        starts: per tree the first of its tests; one more at the end.
        feature: per test the feature.
        threshold: per test what fails it if it is higher.
        keeps: per test the leaves that stay where it fails.
        values: per tree the values of its leaves, each where its bit modulo `SLOTS` points, shape (trees, SLOTS).
    """
    candidates = features.shape[1]
    total = np.zeros(candidates, np.float64)
    alive = np.empty(CHUNK, np.uint32)
    for begin in range(0, candidates, CHUNK):
        size = min(CHUNK, candidates - begin)
        for tree in range(len(starts) - 1):
            alive[:] = np.uint32(0xFFFFFFFF)
            for test in range(starts[tree], starts[tree + 1]):
                column, limit, keep = features[feature[test], begin : begin + size], threshold[test], keeps[test]
                for place in range(size):
                    alive[place] &= keep if column[place] > limit else np.uint32(0xFFFFFFFF)
            for place in range(size):
                lowest = alive[place] & (~alive[place] + np.uint32(1))
                total[begin + place] += values[tree, lowest % SLOTS]
    return total


@_compiled(fastmath=_REORDERED)
def adam(
    weights: NDArray[np.float32], mean: NDArray[np.float32], square: NDArray[np.float32], rows: NDArray[np.int64],
    gradient: NDArray[np.float32], rate: float, decay: float, step: int,
) -> None:  # fmt: skip
    """Take one step of Adam (Kingma & Ba, ICLR 2015, algorithm 1) in some rows; the others stay as they are.

    Args:
        weights: overwritten, as are mean and square, of one shape.
        mean: of the gradients so far, fading.
        square: of their squares.
        rows: distinct.
        gradient: shape (rows, columns).
        rate: of the step.
        decay: what weights are pulled towards zero by, as a part of the gradient.
        step: from 1.
    """
    scale = np.float32(rate / (1 - 0.9**step))
    level = np.float32(1 / (1 - 0.999**step))
    pull = np.float32(decay)
    for place in range(len(rows)):
        row = rows[place]
        for column in range(weights.shape[1]):
            by = gradient[place, column] + pull * weights[row, column]
            mean[row, column] += np.float32(0.1) * (by - mean[row, column])
            square[row, column] += np.float32(0.001) * (by * by - square[row, column])
            root = np.sqrt(square[row, column] * level) + np.float32(1e-8)
            weights[row, column] -= scale * mean[row, column] / root


def contiguous(array: Any, kind: type) -> NDArray[Any]:
    """Return an array as the kernels take it."""
    return np.ascontiguousarray(array, dtype=kind)
