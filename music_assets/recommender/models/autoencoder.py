"""Mult-DAE: an autoencoder that has to say a whole history from half of it (Liang et al., WWW 2018).

One hidden layer, a multinomial likelihood over the catalogue, Adam. Unlike every other model here it is not linear in
what was heard: what two items say together need not be what each says alone. Where the catalogue is large, a batch is
held against what it heard and a draw of the rest (sampled softmax; Jean et al., ACL 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from scipy import sparse

from music_assets.recommender import kernels
from music_assets.recommender.models.base import (
    FittedModel,
    Listening,
    Model,
    Reason,
    State,
    loudest,
    one_history,
    selection,
    spoken_for,
    weigh,
)
from music_assets.recommender.names import MULT_DAE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED: Final = 7

_OUTPUTS: Final = 2000
"""Items drawn for a batch beside those it heard, where the catalogue has more."""

_PASSES: Final = 6
"""Additions and multiplications of a step for each listener, hidden unit and item it is held against: forward, and back
by both factors."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderModel(FittedModel):
    """A layer from items to hidden units and one back.

    Attributes:
        inward: float32, shape (items + 1, hidden); the last row is what the units are without any item.
        outward: float32, shape (items, hidden + 1); the last column is what an item is without any unit.
    """

    kind: ClassVar[str] = "autoencoder"

    inward: NDArray[np.float32]
    outward: NDArray[np.float32]

    def score(self, history: Any) -> NDArray[np.float32]:
        """Add the prior to what the layers say; they say nothing of a listener who has heard nothing."""
        said = _outputs(np.tanh(_inputs(history) @ self.inward), self.outward)
        said[np.diff(history.indptr) == 0] = 0
        return np.asarray(said + self.prior, dtype=np.float32)

    def reasons(
        self, heard: NDArray[np.int64], counts: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> list[Reason]:
        """Name the item heard along which each score rises most, where the history stands."""
        if not len(heard):
            return [Reason(None)] * len(columns)
        hidden = np.tanh(_inputs(one_history(heard, counts, len(self.items))) @ self.inward)
        return loudest(heard, (self.inward[heard] * (1 - hidden**2)) @ self.outward[columns, :-1].T)

    def similar(self, item: int, *, k: int) -> list[tuple[int, float]]:
        """Return what is said of a listener who heard this item alone beyond what is said of anybody."""
        hidden = np.tanh(np.stack([self.inward[item] + self.inward[-1], self.inward[-1]]))
        return spoken_for((hidden[0] - hidden[1]) @ self.outward[:, :-1].T, item, k)

    def state(self) -> State:
        """Both layers."""
        return State({"popularity": self.popularity, "inward": self.inward, "outward": self.outward}, {})

    @classmethod
    def restored(cls, items: tuple[str, ...], state: State) -> AutoencoderModel:
        """Take all as it was."""
        return cls(items=items, **state.arrays)

    def aligned(self, items: tuple[str, ...]) -> AutoencoderModel:
        """Carry both layers over; an unknown item is said to be as rare as the rarest."""
        select = selection(self.items, items)
        outward = np.asarray(select @ self.outward, dtype=np.float32)
        unknown = np.diff(select.indptr) == 0
        outward[unknown, -1] = self.outward[:, -1].min(initial=0)
        return AutoencoderModel(
            items=items,
            popularity=np.asarray(select @ self.popularity, dtype=np.float32),
            inward=np.concatenate([select @ self.inward[:-1], self.inward[-1:]]).astype(np.float32),
            outward=outward,
        )


@dataclass(frozen=True)
class Autoencoder(Model):
    """Settings of Mult-DAE.

    Attributes:
        hidden: units.
        dropout: share of a history that is hidden while learning.
        decay: regularisation of both layers.
        rate: step of Adam.
        epochs: rounds over all listeners at most.
        batch: listeners of a step.
        work: additions and multiplications of all rounds at most, one round at the least: a minute of two cores. Of
            many listeners fewer rounds are enough, because each has more steps.
    """

    name: ClassVar[str] = MULT_DAE

    hidden: int = 200
    dropout: float = 0.4
    decay: float = 0.001
    rate: float = 0.003
    epochs: int = 20
    batch: int = 256
    work: float = 6e12

    def fit(self, listening: Listening) -> AutoencoderModel:
        """Descend with a fixed seed."""
        heard = weigh(listening.counts[np.diff(listening.counts.indptr) > 0], "binary")
        random = np.random.default_rng(_SEED)
        layers = (
            _Layer.drawn(random, (heard.shape[1] + 1, self.hidden)),
            _Layer.drawn(random, (heard.shape[1], self.hidden + 1)),
        )
        step = 0
        for _ in range(self.rounds(heard)):
            order = random.permutation(heard.shape[0])
            for start in range(0, len(order), self.batch):
                step += 1
                self._descend(_Batch.drawn(heard[order[start : start + self.batch]], random), layers, step, random)
        return AutoencoderModel(
            items=listening.items,
            popularity=listening.listeners.astype(np.float32),
            inward=layers[0].weights,
            outward=layers[1].weights,
        )

    def rounds(self, heard: Any) -> int:
        """Return how often all listeners are gone through: CSR, shape (listeners, items)."""
        listeners, items = heard.shape
        outputs = min(items, _OUTPUTS + self.batch * heard.nnz / max(listeners, 1))
        round_ = max(_PASSES * listeners * outputs * self.hidden, 1.0)
        return max(1, min(self.epochs, int(self.work / round_)))

    def _descend(self, batch: _Batch, layers: tuple[_Layer, _Layer], step: int, random: np.random.Generator) -> None:
        """Take one step, of the rows of both layers that the batch knows of."""
        inward, outward = layers
        inputs = _inputs(batch.heard)
        # The last input stands for no item and is not hidden.
        kept = (random.random(inputs.nnz) >= self.dropout) / np.float32(1 - self.dropout)
        inputs.data *= np.where(inputs.indices == batch.heard.shape[1], 1, kept).astype(np.float32)
        hidden = np.tanh(inputs @ inward.weights[batch.inputs])
        ends = outward.weights[batch.outputs]
        error = batch.error(_outputs(hidden, ends))
        back = (error @ ends[:, :-1]) * (1 - hidden**2)
        outward.descend(batch.outputs, error.T @ _with_one(hidden), self, step)
        inward.descend(batch.inputs, np.asarray(inputs.T @ back, dtype=np.float32), self, step)


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Some listeners, over the items that they heard.

    Attributes:
        heard: CSR of ones, shape (listeners, items heard).
        inputs: rows of the inner layer: the items heard, ascending, and the one that stands for none.
        outputs: items that the batch is held against, ascending.
        places: of the items heard among them.
        drawn_for: items that each one stands for that was not heard; 1 where all take part.
    """

    heard: Any
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    places: NDArray[np.int64]
    drawn_for: float

    @classmethod
    def drawn(cls, rows: Any, random: np.random.Generator) -> _Batch:
        size = rows.shape[1]
        items, columns = np.unique(rows.indices, return_inverse=True)
        outputs = np.arange(size)
        if size > _OUTPUTS + len(items):
            outputs = np.union1d(items, random.integers(0, size, _OUTPUTS))
        return cls(
            heard=sparse.csr_matrix((rows.data, columns, rows.indptr), shape=(rows.shape[0], len(items))),
            inputs=np.append(items, size).astype(np.int64),
            outputs=outputs,
            places=np.searchsorted(outputs, items),
            drawn_for=(size - len(items)) / max(len(outputs) - len(items), 1),
        )

    def error(self, said: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the gradient of the likelihood by what is said, which is overwritten; both (listeners, outputs)."""
        if self.drawn_for > 1:
            others = np.full(len(self.outputs), np.log(self.drawn_for), dtype=np.float32)
            others[self.places] = 0
            said += others
        said -= said.max(axis=1, keepdims=True)
        np.exp(said, out=said)
        said *= (np.diff(self.heard.indptr) / said.sum(axis=1))[:, None].astype(np.float32)
        rows = np.repeat(np.arange(len(said)), np.diff(self.heard.indptr))
        said[rows, self.places[self.heard.indices]] -= 1
        said /= len(said)
        return said


@dataclass(frozen=True)
class _Layer:
    """Weights with what Adam remembers of each (Kingma & Ba, ICLR 2015), all float32 of one shape."""

    weights: NDArray[np.float32]
    mean: NDArray[np.float32]
    square: NDArray[np.float32]

    @classmethod
    def drawn(cls, random: np.random.Generator, shape: tuple[int, int]) -> _Layer:
        weights = (random.standard_normal(shape, dtype=np.float32) * np.sqrt(2 / sum(shape))).astype(np.float32)
        return cls(weights, np.zeros_like(weights), np.zeros_like(weights))

    def descend(self, rows: NDArray[np.int64], gradient: NDArray[np.float32], by: Autoencoder, step: int) -> None:
        """Take a step of some rows: gradient of shape (rows, columns)."""
        kernels.adam(
            self.weights, self.mean, self.square, rows, np.ascontiguousarray(gradient), by.rate, by.decay, step
        )


def _inputs(history: Any) -> Any:
    """Return histories of length 1 with a last column of ones, CSR float32, shape (listeners, items + 1)."""
    heard = np.diff(history.indptr)
    data = np.repeat(1 / np.sqrt(np.maximum(heard, 1)), heard).astype(np.float32)
    scaled = sparse.csr_matrix((data, history.indices, history.indptr), shape=history.shape)
    ones = sparse.csr_matrix(np.ones((history.shape[0], 1), dtype=np.float32))
    return sparse.hstack([scaled, ones], format="csr")


def _with_one(hidden: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([hidden, np.ones((len(hidden), 1), dtype=np.float32)], axis=1)


def _outputs(hidden: NDArray[np.float32], outward: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(_with_one(hidden) @ outward.T, dtype=np.float32)
