"""Artists that the same listeners hear, and through them the tracks: one that hardly anybody heard has good company.

Two items are as near as their artists are, and of an artist's items the more heard ones come first. Artists that a
source calls similar are among the features of the items and join as well; an item of no known artist stands for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse

from music_assets.recommender.interactions import Interactions
from music_assets.recommender.item_features import ARTIST
from music_assets.recommender.models.base import Listening, Model, Weighting, weigh
from music_assets.recommender.models.neighbours import ItemModel, likeness, strongest
from music_assets.recommender.names import ARTIST_GRAPH

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ArtistGraph(Model):
    """Cosine of artists over their listeners.

    Attributes:
        shrink: added to the product of the norms, as in item-kNN.
        own: how near an artist is to itself: 1 is the cosine.
        hits: power of an item's listeners by which it counts among its artist's.
        weighting: log of the counts, or whether heard at all.
        near: artists kept for each artist.
        keep: neighbours kept for each item.
    """

    name: ClassVar[str] = ARTIST_GRAPH

    shrink: float = 10.0
    own: float = 1.0
    hits: float = 0.5
    weighting: Weighting = "log"
    near: int = 50
    keep: int = 200

    def fit(self, listening: Listening) -> ItemModel:
        """Compare artists, then carry it to their items, some at a time."""
        made_by = _made_by(listening)
        graph = self._graph(weigh(listening.counts, self.weighting) @ made_by)
        heard = listening.listeners.astype(np.float32) ** self.hits
        reached = (graph @ made_by.T @ sparse.diags(heard)).tocsr()
        return ItemModel(
            items=listening.items,
            popularity=listening.listeners.astype(np.float32),
            neighbours=strongest(
                lambda start, end: (made_by[start:end] @ reached).tocsr(), len(listening.items), self.keep
            ),
            weighting=self.weighting,
        )

    def _graph(self, heard: Any) -> Any:
        """Return how near artists are: CSR, shape (artists, artists), from what listeners heard of each."""
        columns = heard.tocsc()
        norm: NDArray[np.float32] = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)).ravel())
        block = likeness(heard, heard, norm, norm, self.shrink)
        others = sparse.csr_matrix(strongest(block, heard.shape[1], self.near))
        return (others + sparse.diags(self.own * norm**2 / (norm**2 + self.shrink + 1e-9))).astype(np.float32).tocsr()


def _made_by(listening: Listening) -> Any:
    """Return the artists of items: CSR, float32, shape (items, artists), rows of length 1."""
    known = listening.features if isinstance(listening, Interactions) else None
    size = len(listening.items)
    alone = np.ones(size, dtype=np.float32)
    if known is None or ARTIST not in known.groups:
        return sparse.identity(size, dtype=np.float32, format="csr")
    artists = known.of(listening.items, {**dict.fromkeys(known.groups, 0.0), ARTIST: 1.0})
    alone[np.diff(artists.indptr) > 0] = 0
    return sparse.hstack([artists, sparse.diags(alone)], format="csr", dtype=np.float32)
