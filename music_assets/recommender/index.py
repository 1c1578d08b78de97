"""An index over the vectors of a large catalogue, where reading each of them for one answer is too dear.

FAISS sorts them into cells and holds four bits for two numbers. Of the cells nearest to a query it reads those codes;
their best are multiplied again with the true vectors, so that scores are exact and only a few of the best may be
missing. How few is measured before an index serves (`indexing.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from music_assets.recommender import kernels
from music_assets.recommender.retrieval import NOTHING, Scores, Whole
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

K: Final = 100
"""How many of the best are looked for where an index is judged."""

_DEAR: Final = 8
"""A vector read by itself costs so many that are read in a row."""

_BITS: Final = 4
_ROUNDS: Final = 8
_TAUGHT_EACH: Final = 64
"""Rounds of k-means and vectors for each cell that it learns from: more takes minutes and finds nothing more."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard an index looks.

    Attributes:
        part: of how many parts of the cells one is read.
        candidates: how many the codes propose where `K` are wanted: each costs a read somewhere else.
    """

    part: int
    candidates: int


EFFORTS: Final = (
    Effort(part=8, candidates=400),
    Effort(part=4, candidates=400),
    Effort(part=4, candidates=800),
    Effort(part=2, candidates=1600),
    Effort(part=1, candidates=3200),
)
"""From little to much: the last one reads every code."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index.

    Attributes:
        codes: FAISS's, one code for each vector, in their order.
        effort: how hard it looks.
    """

    codes: Any
    effort: Effort

    @classmethod
    def of(cls, vectors: NDArray[np.float32], effort: Effort = EFFORTS[0]) -> Index:
        """Build one in seconds; the same vectors give the same index."""
        faiss, (items, numbers) = _faiss(), vectors.shape
        cells, parts = 1 << round(np.log2(items) / 2), numbers if numbers % 2 else numbers // 2
        nearest = faiss.IndexFlatIP(numbers)
        codes = faiss.IndexIVFPQFastScan(nearest, numbers, cells, parts, _BITS, faiss.METRIC_INNER_PRODUCT)
        codes.cp.niter, codes.cp.max_points_per_centroid = _ROUNDS, _TAUGHT_EACH
        vectors = kernels.contiguous(vectors, np.float32)
        codes.train(vectors)
        codes.add(vectors)
        return cls(codes=codes, effort=effort)

    def raw(self) -> NDArray[np.uint8]:
        """Return FAISS's own file form, uint8, shape (bytes,)."""
        return np.asarray(_faiss().serialize_index(self.codes), dtype=np.uint8)

    @classmethod
    def restored(cls, raw: NDArray[np.uint8], effort: Effort, shape: tuple[int, int]) -> Index:
        """Take what `raw` gave, without building it again.

        Args:
            raw: the file form.
            effort: as in `Index`.
            shape: of the vectors.

        Raises:
            IntegrityError: it is no index, or not one of vectors of that shape.
        """
        faiss = _faiss()
        try:
            codes = faiss.deserialize_index(raw)
        except RuntimeError as error:
            raise IntegrityError("the index of the factors cannot be read: train again, or promote another") from error
        found = (type(codes).__name__, codes.ntotal, codes.d, codes.metric_type)
        wanted = (faiss.IndexIVFPQFastScan.__name__, *shape, faiss.METRIC_INNER_PRODUCT)
        if found != wanted:
            raise IntegrityError(f"the index of the factors is {found}, {wanted} is needed: train again")
        return cls(codes=codes, effort=effort)

    def best(
        self, vectors: NDArray[np.float32], query: NDArray[np.float32], base: NDArray[np.float32], count: int,
        without: NDArray[np.int64] = NOTHING,
    ) -> NDArray[np.int64]:  # fmt: skip
        """Return the columns of the highest scores, best first, equals by column; a few may be missing.

        All vectors are read where a query says nothing, or so much is wanted that an index would cost more.

        Args:
            vectors: what the index was built of.
            query: float32, shape (numbers,).
            base: what is added to the products, small beside them, float32, shape (items,).
            count: how many, at least 1.
            without: columns that are not returned.
        """
        asked = -(-self.effort.candidates * max(count + len(without), K) // K)
        if asked * _DEAR > len(vectors) or not query.any():
            return Whole.exact(base + vectors @ query).best(count, without)
        columns = np.sort(self._proposed(query, asked))
        if len(without):
            columns = columns[~np.isin(columns, without)]
        scores = base[columns]
        kernels.products(vectors, columns, query, scores)
        return columns[np.argsort(-scores, kind="stable")[:count]]

    def _proposed(self, query: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        read = _faiss().SearchParametersIVF(nprobe=max(1, self.codes.nlist // self.effort.part))
        query = kernels.contiguous(query, np.float32)
        found: NDArray[np.int64] = self.codes.search(query[None], count, params=read)[1][0]
        return found[found >= 0]


@dataclass(frozen=True, kw_only=True)
class Searched(Scores):
    """Scores that an index knows the best of."""

    index: Index

    def best(self, count: int, without: NDArray[np.int64] = NOTHING) -> NDArray[np.int64]:
        """Ask the index."""
        assert self.vectors is not None
        assert self.query is not None
        return self.index.best(self.vectors, self.query, self.base, count, without)


def _faiss() -> Any:
    """Return FAISS held to one thread, a setting of the calling thread; importing it takes a third of a second."""
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss
