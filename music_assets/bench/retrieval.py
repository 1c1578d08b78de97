"""What finding the best hundred of a catalogue costs: ours, exact and by index, beside FAISS's flat scan."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from music_assets.bench import machine
from music_assets.bench.figures import alternated
from music_assets.bench.planted import planted
from music_assets.bench.report import Report, Requirement, Rows, number
from music_assets.recommender.index import Index, K
from music_assets.recommender.indexing import EXACT_ITEMS, LEAST_RECALL, folded_in, indexed
from music_assets.recommender.models.blocks import one_blas_thread
from music_assets.recommender.models.factors import Als, FactorModel
from music_assets.recommender.retrieval import Rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Search = Callable[[NDArray[np.float32]], NDArray[np.int64]]

FLAT: Final = "faiss flat"
EXACT: Final = "ours, exact"
INDEX: Final = "ours, index"

_LISTENS_EACH: Final = 20
_EPOCHS: Final = 4
_SEED: Final = 12
_SLOWEST: Final = 1.1
_QUICKER: Final = 10.0

_NOTES: Final = (
    "queries are listeners folded in from their history, one at a time; factors are those of iALS on planted listens",
    "microseconds of the one thread that answers; rounds of all queries, the sides in turns, medians over the rounds",
    f"up to {EXACT_ITEMS:,} items the exact side serves, beyond them the index with what its gate found enough",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is searched.

    Attributes:
        items: sizes of the catalogue.
        factors: numbers per item.
        listeners: in the world that the factors are learnt from.
        queries: of a round.
        repeat: rounds.
    """

    items: tuple[int, ...] = (20_000, 50_000, 100_000, 200_000)
    factors: int = 128
    listeners: int = 50_000
    queries: int = 200
    repeat: int = 7


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """What was measured at one size.

    Attributes:
        serves: the side that serves there.
        told: how it serves, in the gate's words.
        microseconds: side to CPU of one query, the median over the rounds.
        ratio: side to its time over that of FAISS flat, the median over the rounds.
        recall: side to the mean share of FAISS flat's best `K`.
        build_seconds: of the index, CPU.
        index_mb: size of the index as a file.
    """

    serves: str
    told: str
    microseconds: dict[str, float]
    ratio: dict[str, float]
    recall: dict[str, float]
    build_seconds: float
    index_mb: float


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Measure each size, one after the other."""
    facts, found = machine.facts(), {}
    for items in options.items:
        found[items] = _measured(items, options, say)
        say(f"{items:,} items: {found[items]}")
    return Report(
        mode="retrieval",
        machine=facts,
        options=asdict(options),
        measured={str(items): asdict(each) for items, each in found.items()},
        requirements=requirements(found),
        notes=_NOTES,
        tables=[_rows(found)],
    )


def requirements(found: Mapping[int, Catalogue]) -> list[Requirement]:
    """Hold what serves against FAISS flat: as quick where all vectors are read, far quicker beyond."""
    held = []
    for items, each in found.items():
        at = f"at {items:,} items"
        held.append(Requirement(name=f"recall@{K} {at}", value=each.recall[each.serves], limit=LEAST_RECALL))
        ratio, note = each.ratio[each.serves], each.told
        held.append(
            Requirement(name=f"time / FAISS flat {at}", value=ratio, limit=_SLOWEST, direction="at most", note=note)
            if items <= EXACT_ITEMS
            else Requirement(name=f"rate / FAISS flat {at}", value=1 / ratio, limit=_QUICKER, note=note)
        )
    return held


def _measured(items: int, options: Options, say: Callable[[str], None]) -> Catalogue:
    world = planted(listeners=options.listeners, items=items, listens=options.listeners * _LISTENS_EACH)
    model = Als(factors=options.factors, epochs=_EPOCHS).fit(world)
    say(f"{items:,} items: factors learnt")
    served, told = indexed(model, world.counts)
    assert isinstance(served, FactorModel)
    started = time.thread_time()
    index = Index.of(model.factors)
    built = time.thread_time() - started
    if served.index is not None:
        index = replace(index, effort=served.index.effort)
    sides = _sides(model.factors, index)
    with one_blas_thread():
        # Others than the gate judges by.
        queries = list(folded_in(model, world.counts, options.queries, seed=_SEED))
        recall = _recall(sides, queries)
        rounds = _rounds(sides, queries, options.repeat)
    return Catalogue(
        serves=EXACT if served.index is None else INDEX, told=next(iter(told.values())).told,
        microseconds={side: round(median(each) * 1e6, 1) for side, each in rounds.items()},
        ratio={side: round(_ratio(each, rounds[FLAT]), 4) for side, each in rounds.items()},
        recall={side: round(each, 4) for side, each in recall.items()},
        build_seconds=round(built, 2), index_mb=round(index.raw().nbytes / 1e6, 1),
    )  # fmt: skip


def _sides(factors: NDArray[np.float32], index: Index) -> dict[str, Search]:
    """Return what gives the columns of the best `K` for a query, each on one thread.

    Popularity adds nothing here: FAISS would have to learn it as one more number.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(factors.shape[1])
    flat.add(factors)
    rounded, base = Rounded.of(factors), np.zeros(len(factors), dtype=np.float32)
    crossed, near = np.zeros(factors.shape[1], dtype=np.float32), np.empty_like(base)
    return {
        FLAT: lambda query: np.asarray(flat.search(query[None], K)[1][0]),
        EXACT: lambda query: rounded.products(query, base, crossed, near).best(K),
        INDEX: lambda query: index.best(factors, query, base, K),
    }


def _recall(sides: Mapping[str, Search], queries: Sequence[NDArray[np.float32]]) -> dict[str, float]:
    """Return each side's share of FAISS flat's answers; what it compiles or loads at first is not timed later."""
    best = [set(sides[FLAT](query).tolist()) for query in queries]
    return {
        name: float(np.mean([len(best[row] & set(side(query).tolist())) / K for row, query in enumerate(queries)]))
        for name, side in sides.items()
    }


def _rounds(sides: Mapping[str, Search], queries: Sequence[NDArray[np.float32]], repeat: int) -> dict[str, list[float]]:
    """Return for each side the mean CPU seconds of a query in each round; every other round goes backwards."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeat):
        for name in alternated(list(sides), turn):
            started = time.thread_time()
            for query in queries:
                sides[name](query)
            found[name].append((time.thread_time() - started) / len(queries))
    return found


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of a round's ratios: a busy moment of the machine hits both sides of a round."""
    return median(each / its for each, its in zip(ours, theirs, strict=True))


def _rows(found: Mapping[int, Catalogue]) -> Rows:
    return Rows(
        title=f"The best {K} of a catalogue",
        columns=("items", "serves", "side", "µs of CPU a query", "of FAISS flat's", f"recall@{K}", "index"),
        rows=[
            (f"{items:,}", each.serves.removeprefix("ours, "), side, number(each.microseconds[side], 0),
             number(each.ratio[side], 3), number(each.recall[side], 4),
             f"{each.index_mb:.1f} MB in {each.build_seconds:.1f} s" if side == INDEX else "")
            for items, each in found.items() for side in each.microseconds
        ],
    )  # fmt: skip
