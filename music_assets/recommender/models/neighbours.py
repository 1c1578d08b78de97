"""The item-based form: each item heard speaks for its neighbours with a weight learnt beforehand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from scipy import sparse

from music_assets.recommender.models.base import AdditiveModel, State, selection
from music_assets.recommender.models.blocks import cores

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_DENSE_SHARE: Final = 0.2
"""Share of non-zero weights from which a dense matrix is both smaller and faster than CSR."""

_ROWS: Final = 512
"""Rows of the weight matrix made at once by a thread: bounds the block that is cut down to neighbours."""


@dataclass(frozen=True, kw_only=True)
class ItemModel(AdditiveModel):
    """Neighbours of items.

    Attributes:
        neighbours: weight with which a heard item (row) speaks for another (column): CSR or array, float32, (items,
            items).
    """

    kind: ClassVar[str] = "neighbours"

    neighbours: Any

    def spoken(self, weights: Any) -> NDArray[np.float32]:
        """Sum the neighbours of what was heard."""
        said = weights @ self.neighbours
        return np.asarray(said.toarray() if sparse.issparse(said) else said, dtype=np.float32)

    def speaks(
        self, heard: NDArray[np.int64], weights: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Weigh the neighbours of each item heard."""
        rows = self.neighbours[heard]
        if not sparse.issparse(rows):
            return np.asarray(rows[:, columns] * weights[:, None], dtype=np.float32)
        place = np.full(rows.shape[1], -1, dtype=np.int64)
        place[columns] = np.arange(len(columns))
        # Columns of CSR are found by a search in each row; one look at every stored weight is quicker.
        found = np.flatnonzero(place[rows.indices] >= 0)
        row = np.searchsorted(rows.indptr, found, side="right") - 1
        said = np.zeros((len(heard), len(columns)), dtype=np.float32)
        said[row, place[rows.indices[found]]] = rows.data[found] * weights[row]
        return said

    def similar(self, item: int, *, k: int) -> list[tuple[int, float]]:
        """Return the item's own row."""
        row = sparse.csr_matrix(self.neighbours[item])
        best = np.lexsort((row.indices, -row.data))[:k]
        return [(int(row.indices[place]), float(row.data[place])) for place in best if row.data[place] > 0]

    def state(self) -> State:
        """Neighbours as CSR, or as they are where they are an array."""
        arrays = {"popularity": self.popularity}
        if sparse.issparse(self.neighbours):
            arrays["data"] = self.neighbours.data.astype(np.float32)
            arrays["indices"] = self.neighbours.indices.astype(np.int32)
            arrays["indptr"] = self.neighbours.indptr.astype(np.int64)
        else:
            arrays["dense"] = self.neighbours
        return State(arrays, {"weighting": self.weighting})

    @classmethod
    def restored(cls, items: tuple[str, ...], state: State) -> ItemModel:
        """Take the neighbours as they were."""
        arrays, shape = state.arrays, (len(items), len(items))
        dense = arrays.get("dense")
        neighbours = (
            sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
            if dense is None
            else dense
        )
        return cls(
            items=items, popularity=arrays["popularity"], neighbours=neighbours, weighting=state.words["weighting"]
        )

    def aligned(self, items: tuple[str, ...]) -> ItemModel:
        """Carry rows and columns over."""
        select = selection(self.items, items)
        return ItemModel(
            items=items,
            popularity=np.asarray(select @ self.popularity, dtype=np.float32),
            neighbours=(select @ sparse.csr_matrix(self.neighbours) @ select.T).tocsr(),
            weighting=self.weighting,
        )


def likeness(
    heard: Any, spoken: Any, left: NDArray[np.float32], right: NDArray[np.float32], shrink: float
) -> Callable[[int, int], Any]:
    """Return what makes rows of a shrunk cosine of items, for `strongest`: products over the norms and the shrinkage.

    Args:
        heard: CSR of weights, shape (listeners, items).
        spoken: the same, as much as each listener's say counts.
        left: what each row is divided by, shape (items,).
        right: what each column is, shape (items,).
        shrink: added to the product of both.
    """
    across = heard.tocsc().T.tocsr()

    def block(start: int, end: int) -> Any:
        both = (across[start:end] @ spoken).tocsr()
        norm = np.repeat(left[start:end], np.diff(both.indptr)) * right[both.indices]
        both.data /= norm + np.float32(shrink + 1e-9)
        return both

    return block


def strongest(block: Callable[[int, int], Any], size: int, keep: int) -> Any:
    """Return a square matrix with the weights largest in size of each row, float32, as CSR or, where full, an array.

    Args:
        block: makes rows start to end, CSR or array that is not needed elsewhere, shape (end - start, size); its
            diagonal does not count. Called by one thread for each core at once.
        size: rows and columns.
        keep: weights kept of each row.
    """
    if not size:
        return sparse.csr_matrix((0, 0), dtype=np.float32)
    keep = min(keep, size)

    def cut(start: int) -> Any:
        rows = block(start, min(start + _ROWS, size))
        return _cut_sparse(rows.tocsr(), start, keep) if sparse.issparse(rows) else _cut(np.asarray(rows), start, keep)

    # Products of sparse matrices and partitions leave the interpreter's lock, and neither uses a second core itself.
    with ThreadPoolExecutor(cores()) as pool:
        whole = sparse.vstack(list(pool.map(cut, range(0, size, _ROWS))), format="csr", dtype=np.float32)
    whole.sort_indices()
    return whole.toarray() if whole.nnz > _DENSE_SHARE * size * size and size > _ROWS else whole


def _cut(rows: NDArray[np.float32], start: int, keep: int) -> Any:
    numbers = np.arange(len(rows))
    rows[numbers, start + numbers] = 0
    columns = np.argpartition(-np.abs(rows), keep - 1, axis=1)[:, :keep]
    values = np.take_along_axis(rows, columns, axis=1)
    cut = sparse.csr_matrix(
        (values.ravel(), columns.ravel(), np.arange(len(rows) + 1) * keep), shape=rows.shape, dtype=np.float32
    )
    cut.eliminate_zeros()
    return cut


def _cut_sparse(rows: Any, start: int, keep: int) -> Any:
    """Cut as `_cut`, looking only at what is not zero: most items have nothing to say of most others."""
    number = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    rows.data[rows.indices == start + number] = 0
    size = np.abs(rows.data)
    kept = size > 0
    for row in np.flatnonzero(np.diff(rows.indptr) > keep):
        part = slice(rows.indptr[row], rows.indptr[row + 1])
        smaller = np.argpartition(size[part], -keep)[:-keep]
        kept[part][smaller] = False
    ends = np.concatenate([[0], np.cumsum(kept)])[rows.indptr]
    return sparse.csr_matrix((rows.data[kept], rows.indices[kept], ends), shape=rows.shape, dtype=np.float32)
