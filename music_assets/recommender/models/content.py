"""Content: items are alike as far as what the catalogue says of them is, whether or not anybody heard them.

A listener is the sum of what was heard (a profile over the features), an item's score the cosine with it. Nothing of
the size of items times items is ever made: features stay sparse, so memory grows with what is known of the items.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse

from music_assets.recommender.interactions import Interactions
from music_assets.recommender.item_features import ARTIST, AUDIO, GENRE, TAG, WORDS, ItemFeatures
from music_assets.recommender.models.base import AdditiveModel, Listening, Model, State, Weighting, selection
from music_assets.recommender.names import CONTENT

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ContentModel(AdditiveModel):
    """Features of items.

    Attributes:
        features: CSR, float32, shape (items, features), rows of length 1 or empty.
    """

    kind: ClassVar[str] = "content"

    features: Any

    @cached_property
    def _across(self) -> Any:
        return self.features.T.tocsr()

    def spoken(self, weights: Any) -> NDArray[np.float32]:
        """Compare profiles with items."""
        return np.asarray((weights @ self.features).toarray() @ self._across, dtype=np.float32)

    def speaks(
        self, heard: NDArray[np.int64], weights: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Compare items heard with others."""
        alike = (self.features[heard] @ self.features[columns].T).toarray()
        return np.asarray(alike * weights[:, None], dtype=np.float32)

    def similar(self, item: int, *, k: int) -> list[tuple[int, float]]:
        """Compare an item with all others."""
        said = np.asarray((self.features[item] @ self._across).toarray(), dtype=np.float32)[0]
        said[item] = 0
        best = np.argsort(-said, kind="stable")[:k]
        return [(int(place), float(said[place])) for place in best if said[place] > 0]

    def state(self) -> State:
        """Features as CSR."""
        arrays = {
            "popularity": self.popularity, "data": self.features.data.astype(np.float32),
            "indices": self.features.indices.astype(np.int32), "indptr": self.features.indptr.astype(np.int64),
        }  # fmt: skip
        return State(arrays, {"weighting": self.weighting, "width": self.features.shape[1]})

    @classmethod
    def restored(cls, items: tuple[str, ...], state: State) -> ContentModel:
        """Take the features as they were."""
        arrays, shape = state.arrays, (len(items), state.words["width"])
        return cls(
            items=items, popularity=arrays["popularity"], weighting=state.words["weighting"],
            features=sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape),
        )  # fmt: skip

    def aligned(self, items: tuple[str, ...]) -> ContentModel:
        """Carry rows over."""
        select = selection(self.items, items)
        return ContentModel(
            items=items, popularity=np.asarray(select @ self.popularity, dtype=np.float32),
            weighting=self.weighting, features=(select @ self.features).tocsr(),
        )  # fmt: skip


@dataclass(frozen=True)
class Content(Model):
    """How much each group of features says.

    Attributes:
        artist: who made it, and whom a source calls similar.
        genre: of the item, or of its artist.
        tag: of the item and its artist.
        audio: how it sounds.
        words: of its name.
        weighting: log of the counts, or whether heard at all.
    """

    name: ClassVar[str] = CONTENT

    artist: float = 1.0
    genre: float = 0.7
    tag: float = 1.0
    audio: float = 0.5
    words: float = 0.2
    weighting: Weighting = "binary"

    def fit(self, listening: Listening) -> ContentModel:
        """Take what is known of the items heard; listens without features leave nothing but popularity."""
        found = listening.features if isinstance(listening, Interactions) else None
        return ContentModel(
            items=listening.items,
            popularity=listening.listeners.astype(np.float32),
            features=self.features(found or ItemFeatures(groups={}), listening.items),
            weighting=self.weighting,
        )

    def features(self, known: ItemFeatures, items: tuple[str, ...]) -> Any:
        """Return the features of some items, weighed: CSR, float32, rows of length 1 or empty."""
        weights = {ARTIST: self.artist, GENRE: self.genre, TAG: self.tag, AUDIO: self.audio, WORDS: self.words}
        return known.of(items, weights)
