"""GF-CF: a low-pass filter over the graph of listeners and items, in closed form (Shen et al., CIKM 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from scipy import sparse

from music_assets.recommender.models.base import (
    AdditiveModel,
    Listening,
    Model,
    State,
    Weighting,
    placed_below,
    selection,
    spoken_for,
    weigh,
)
from music_assets.recommender.models.neighbours import ItemModel, strongest
from music_assets.recommender.names import GF_CF

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED: Final = 7


@dataclass(frozen=True, kw_only=True)
class SpectralModel(AdditiveModel):
    """Neighbours of the normalised graph, and its smoothest vectors.

    Attributes:
        near: the linear filter.
        inward: what a heard item is in the smooth vectors, float32, shape (items, rank).
        outward: what the smooth vectors are for an item, float32, shape (items, rank).
    """

    kind: ClassVar[str] = "spectral"

    near: ItemModel
    inward: NDArray[np.float32]
    outward: NDArray[np.float32]

    def spoken(self, weights: Any) -> NDArray[np.float32]:
        """Add both filters."""
        return np.asarray(self.near.spoken(weights) + (weights @ self.inward) @ self.outward.T, dtype=np.float32)

    def speaks(
        self, heard: NDArray[np.int64], weights: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Both filters are linear in the items heard."""
        smooth = (self.inward[heard] * weights[:, None]) @ self.outward[columns].T
        return np.asarray(self.near.speaks(heard, weights, columns) + smooth, dtype=np.float32)

    def similar(self, item: int, *, k: int) -> list[tuple[int, float]]:
        """Return what this item alone speaks for."""
        only = sparse.csr_matrix(([1.0], ([0], [item])), shape=(1, len(self.items)), dtype=np.float32)
        return spoken_for(self.spoken(only)[0], item, k)

    def state(self) -> State:
        """Both filters."""
        near = self.near.state()
        arrays = {**placed_below("near", near), "inward": self.inward, "outward": self.outward}
        return State(arrays, {"near": near.words})

    @classmethod
    def restored(cls, items: tuple[str, ...], state: State) -> SpectralModel:
        """Take both as they were."""
        near = ItemModel.restored(items, state.below("near"))
        return cls(
            items=items, popularity=near.popularity, weighting=near.weighting, near=near,
            inward=state.arrays["inward"], outward=state.arrays["outward"],
        )  # fmt: skip

    def aligned(self, items: tuple[str, ...]) -> SpectralModel:
        """Carry all parts over."""
        select = selection(self.items, items)
        near = self.near.aligned(items)
        return SpectralModel(
            items=items,
            popularity=near.popularity,
            weighting=self.weighting,
            near=near,
            inward=np.asarray(select @ self.inward, dtype=np.float32),
            outward=np.asarray(select @ self.outward, dtype=np.float32),
        )


@dataclass(frozen=True)
class Spectral(Model):
    """Settings of GF-CF.

    Attributes:
        rank: smooth vectors.
        smooth: weight of the smooth part beside the linear one.
        weighting: log of the counts, or whether heard at all.
        keep: neighbours kept for each item in the linear part.
    """

    name: ClassVar[str] = GF_CF

    rank: int = 128
    smooth: float = 0.3
    weighting: Weighting = "binary"
    keep: int = 200

    def fit(self, listening: Listening) -> SpectralModel:
        """Normalise the graph and find its first singular vectors, by random projection (Halko et al., 2011)."""
        history = weigh(listening.counts, self.weighting)
        item = np.sqrt(np.maximum(np.asarray(history.sum(axis=0)).ravel(), 1e-9)).astype(np.float32)
        listener = np.sqrt(np.maximum(np.asarray(history.sum(axis=1)).ravel(), 1e-9)).astype(np.float32)
        graph = (sparse.diags(1 / listener) @ history @ sparse.diags(1 / item)).tocsr().astype(np.float32)
        vectors = _smooth_vectors(graph, self.rank)
        back = graph.T.tocsr()
        scale = np.where(listening.listeners > 0, item, 0)[:, None]
        near = ItemModel(
            items=listening.items,
            popularity=listening.listeners.astype(np.float32),
            neighbours=strongest(lambda start, end: back[start:end] @ graph, len(listening.items), self.keep),
            weighting=self.weighting,
        )
        return SpectralModel(
            items=near.items,
            popularity=near.popularity,
            weighting=self.weighting,
            near=near,
            inward=np.asarray(self.smooth * vectors / np.maximum(scale, 1e-6), dtype=np.float32),
            outward=np.asarray(vectors * scale, dtype=np.float32),
        )


def _smooth_vectors(graph: Any, rank: int) -> NDArray[np.float32]:
    """Return the right singular vectors of the largest values, shape (items, at most rank)."""
    rank = min(rank, min(graph.shape) - 1)
    if rank < 1 or not graph.nnz:
        return np.zeros((graph.shape[1], 1), dtype=np.float32)
    # The import takes a second, and only training needs it.
    from sklearn.utils.extmath import randomized_svd

    _, _, vectors = randomized_svd(graph, rank, n_iter=4, random_state=_SEED)
    return np.asarray(vectors.T, dtype=np.float32)
