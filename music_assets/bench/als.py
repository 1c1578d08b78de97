"""Seconds an iteration of alternating least squares on the same listens: ours, the package implicit, Spark MLlib."""

from __future__ import annotations

import gc
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from music_assets.bench import machine
from music_assets.bench.planted import planted
from music_assets.bench.report import Report, Requirement, Rows, number
from music_assets.recommender.metrics import evaluate
from music_assets.recommender.models.base import Listening, Model, weigh
from music_assets.recommender.models.blocks import one_blas_thread
from music_assets.recommender.models.factors import Als, FactorModel, unheard_weight
from music_assets.recommender.split import cutoff_of, split_at
from music_assets.spark_als import SparkAls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import SparkSession

    from music_assets.recommender.split import Split

K: Final = 20
_JUDGES: Final = 2000
_EPOCHS: Final = 8
_SLACK: Final = 0.005
"""Recall by which a side may lie below another and still be called its equal."""

_NOTES: Final = (
    "seconds an iteration: a training of eight iterations less one of a single iteration, over seven",
    "each side trains once before the clock starts, and again with eight iterations for its recall",
    "Spark folds listeners in as we do; its recall is that of its items' factors",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is trained on and how wide.

    Attributes:
        users: listeners.
        items: catalogue.
        listens: how many.
        factors: numbers per item, the same for every side.
    """

    users: int = 100_000
    items: int = 50_000
    listens: int = 1_000_000
    factors: int = 64


@dataclass(frozen=True)
class ImplicitAls(Model):
    """The package implicit with conjugate gradients, in the terms of `Als`; its ridge is not scaled."""

    name: ClassVar[str] = "implicit"

    factors: int
    epochs: int
    balance: float = 3.0
    ridge: float = 0.02

    def fit(self, listening: Listening) -> FactorModel:
        """Alternate with every core; BLAS keeps to one thread, as the package asks for."""
        from implicit.cpu.als import AlternatingLeastSquares

        unheard = unheard_weight(listening, self.balance)
        with one_blas_thread():
            trainer = AlternatingLeastSquares(
                factors=self.factors, iterations=self.epochs, regularization=self.ridge / unheard,
                alpha=1 / unheard, random_state=42,
            )  # fmt: skip
            trainer.fit(weigh(listening.counts, "binary"), show_progress=False)
        return FactorModel(
            items=listening.items, popularity=listening.listeners.astype(np.float32), weighting="binary",
            factors=np.asarray(trainer.item_factors, dtype=np.float32), unheard=unheard, ridge=self.ridge,
            exponent=0.0, catalogue=0, mean_weight=1.0,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Side:
    """What a side took and found.

    Attributes:
        seconds: an iteration.
        whole_seconds: a training of `_EPOCHS` iterations.
        recall: Recall@20 on what was heard after the cut-off.
    """

    seconds: float
    whole_seconds: float
    recall: float


def run(options: Options, spark: SparkSession, say: Callable[[str], None]) -> Report:
    """Train each side on the same listens, one after the other."""
    facts = machine.facts()
    world = planted(listeners=options.users, items=options.items, listens=options.listens)
    split = split_at(world, cutoff_of(world), most=_JUDGES)
    sides: dict[str, Callable[[int], Model]] = {
        "ours": lambda epochs: Als(factors=options.factors, epochs=epochs),
        "implicit": lambda epochs: ImplicitAls(factors=options.factors, epochs=epochs),
        "spark": lambda epochs: SparkAls(spark, factors=options.factors, epochs=epochs),
    }
    measured: dict[str, Side] = {}
    for name, side in sides.items():
        measured[name] = _measured(side, split)
        say(f"{name}: {measured[name]}")
    return Report(
        mode="als",
        machine=facts,
        options=asdict(options),
        measured={name: asdict(side) for name, side in measured.items()},
        requirements=requirements(measured),
        notes=_NOTES,
        tables=[_rows(measured)],
    )


def _measured(side: Callable[[int], Model], split: Split) -> Side:
    side(1).fit(split.train)
    short, _ = _timed(side(1), split)
    whole, model = _timed(side(_EPOCHS), split)
    ranked = model.recommend(split.history, k=K)
    recall = evaluate(ranked, split.test, k=K, items=len(model.items)).recall.mean()
    return Side(
        seconds=round((whole - short) / (_EPOCHS - 1), 4), whole_seconds=round(whole, 2), recall=round(float(recall), 4)
    )


def _timed(model: Model, split: Split) -> tuple[float, Any]:
    gc.collect()
    started = time.monotonic()
    fitted = model.fit(split.train)
    return time.monotonic() - started, fitted


def requirements(sides: Mapping[str, Side]) -> list[Requirement]:
    """Hold ours against both; Spark only where ours finds as much."""
    ours, spark = sides["ours"], sides["spark"]
    equal = ours.recall >= spark.recall - _SLACK
    return [
        Requirement(
            name="iALS / implicit, seconds an iteration", value=ours.seconds / sides["implicit"].seconds, limit=1.0,
            direction="at most",
        ),
        Requirement(
            name="Spark / iALS, seconds an iteration", value=spark.seconds / ours.seconds if equal else None, limit=8.0,
            note=f"Recall@{K}: {ours.recall:.4f} ours, {spark.recall:.4f} Spark",
        ),
    ]  # fmt: skip


def _rows(sides: Mapping[str, Side]) -> Rows:
    return Rows(
        title="Alternating least squares",
        columns=("side", "seconds an iteration", f"seconds of {_EPOCHS}", f"Recall@{K}"),
        rows=[
            (name, number(side.seconds, 3), number(side.whole_seconds, 1), number(side.recall, 4))
            for name, side in sides.items()
        ],
    )
