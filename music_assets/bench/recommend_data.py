"""The data of `music bench recommend`: public forms of who liked what, each told by its files and their shape."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import sparse

from music_assets.bench import sar
from music_assets.recommender.interactions import Counted
from music_assets.recommender.stacking import able_to_judge, folds
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_RATINGS: Final = "u.data"
_LISTENS: Final = "user_artists.dat"
_LISTS: Final = "train_data.json"
_LINES: Final = "train.txt"
FORMS: Final = (_RATINGS, _LISTENS, _LISTS, _LINES)

_TRAIN_SHARE: Final = 0.75
_SEED: Final = 42


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Who liked what.

    Attributes:
        user: ids, shape (pairs,), int64.
        item: ids, shape (pairs,), int64.
        weight: positive, shape (pairs,), float64.
        time: seconds since 1970, shape (pairs,), or None where the data has none.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    weight: NDArray[np.float64]
    time: NDArray[np.int64] | None = None

    def of(self, rows: NDArray[Any]) -> Pairs:
        """Return some of the pairs."""
        time = None if self.time is None else self.time[rows]
        return Pairs(user=self.user[rows], item=self.item[rows], weight=self.weight[rows], time=time)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What to learn from and what to find.

    Attributes:
        train: listens, one row for each user under test or not.
        test: CSR, the same rows, non-zero where an item is to be found.
        rated: the train part as SAR learns from it, where it has times, else None.
        source: where the test part is from, as a sentence.
    """

    train: Counted
    test: Any
    rated: sar.Rated | None
    source: str

    @property
    def judges(self) -> NDArray[np.int64]:
        """Rows with something to fold in and something to find."""
        return able_to_judge(self.train, self.test)


def read(folder: Path, test: Path | None) -> Problem:
    """Read a data set.

    Args:
        folder: with one of `FORMS`, and its test part unless `test` is given; without either a fifth of each user's
            items is held back.
        test: a test part in the form of the train part.

    Raises:
        ConfigurationError: nothing that can be read lies there.
    """
    form = next((name for name in FORMS if (folder / name).is_file()), None)
    if form is None:
        raise ConfigurationError(f"--data: {folder} holds none of {', '.join(FORMS)}")
    if form == _RATINGS and test is None:
        train, held = _stratified(_read(folder / form))
        return _problem(train, held, "three quarters of each item's ratings against the rest, seed 42")
    train = _read(folder / form)
    beside = folder / form.replace("train", "test")
    chosen = test or (beside if beside.is_file() and beside.name != form else None)
    if chosen is None:
        return _held_back(train)
    return _problem(train, _read(chosen), f"the test part in {chosen.name}")


def _read(path: Path) -> Pairs:
    try:
        if path.suffix == ".json":
            return _of_lists(enumerate(json.loads(path.read_text("utf-8"))))
        lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
        if lines and not lines[0][0].lstrip("-").isdigit():
            del lines[0]
        return _of_lines(lines)
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error}; valid: numbers, as in {FORMS}") from error


def _of_lines(lines: list[list[str]]) -> Pairs:
    users = {line[0] for line in lines}
    if len(users) == len(lines) or any(len(line) not in (3, 4) for line in lines):
        return _of_lists((int(line[0]), [int(item) for item in line[1:]]) for line in lines)
    table = np.asarray([[float(value) for value in line] for line in lines])
    return Pairs(
        user=table[:, 0].astype(np.int64),
        item=table[:, 1].astype(np.int64),
        weight=table[:, 2],
        time=table[:, 3].astype(np.int64) if table.shape[1] > 3 else None,
    )


def _of_lists(lists: Any) -> Pairs:
    rows = [(user, items) for user, items in lists if len(items)]
    item = np.asarray([item for _, items in rows for item in items], dtype=np.int64)
    user = np.repeat([user for user, _ in rows], [len(items) for _, items in rows]).astype(np.int64)
    return Pairs(user=user, item=item, weight=np.ones(len(item)))


def _stratified(pairs: Pairs) -> tuple[Pairs, Pairs]:
    """Split as Microsoft's recommenders do for their benchmark: by item, in the order of a seeded uniform."""
    # The published split is made by this generator; another one would be another split.
    uniform = np.random.RandomState(_SEED).uniform(size=len(pairs.user))
    order = np.lexsort((uniform, pairs.item))
    _, first, count = np.unique(pairs.item[order], return_index=True, return_counts=True)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1) - np.repeat(first, count)
    limit = np.empty(len(order))
    limit[order] = np.repeat(np.round(count * _TRAIN_SHARE), count)
    return pairs.of(rank <= limit), pairs.of(rank > limit)


def _problem(train: Pairs, test: Pairs, source: str) -> Problem:
    users = np.unique(np.concatenate([train.user, test.user]))
    items = np.unique(np.concatenate([train.item, test.item]))
    rated = None
    if train.time is not None:
        places = (np.searchsorted(users, train.user), np.searchsorted(items, train.item))
        rated = sar.Rated(places=places, rating=train.weight, time=train.time)
    counted = Counted(tuple(str(item) for item in items), _matrix(train, users, items))
    return Problem(train=counted, test=_matrix(test, users, items), rated=rated, source=source)


def _held_back(pairs: Pairs) -> Problem:
    users, items = np.unique(pairs.user), np.unique(pairs.item)
    whole = Counted(tuple(str(item) for item in items), _matrix(pairs, users, items))
    train, test = next(iter(folds(whole, 5)))
    return Problem(train=train, test=test, rated=None, source="a fifth of each user's items, held back here")


def _matrix(pairs: Pairs, users: NDArray[np.int64], items: NDArray[np.int64]) -> Any:
    places = (np.searchsorted(users, pairs.user), np.searchsorted(items, pairs.item))
    matrix = sparse.csr_matrix((pairs.weight.astype(np.float32), places), shape=(len(users), len(items)))
    matrix.sum_duplicates()
    return matrix
