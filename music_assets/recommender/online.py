"""How recommendations fare with those who saw them: by model, arm and place, and arm against arm.

What exploration gave away is told apart: `ranked` is what the model's own ranking earns, reweighted by the logged
propensities (SNIPS), so that a day with more exploration does not make a model look worse; `explored` is what the
tried items earn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from music_assets.recommender.exploration import DRAWN
from music_assets.recommender.interactions import read_copy
from music_assets.recommender.markdown import table
from music_assets.recommender.offpolicy import Estimate, Log, difference, mean, snips

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg
    from numpy.typing import NDArray

NONE: Final = "none"
"""Experiment and arm of who takes part in none."""

CONTROL: Final = "champion"
"""The arm that the others are held against."""

_QUERY: Final = """
copy (
    select recommendation_id, user_id, model_version, coalesce(experiment, 'none'), coalesce(arm, 'none'), position,
        coalesce(source, 'unknown'), propensity, is_clicked::int, listened_within_day::int
    from marts.fct_recommendations
    where shown_at > (select max(shown_at) from marts.fct_recommendations) - interval '28 days'
) to stdout (format csv)
"""
_KINDS: Final = {
    **dict.fromkeys(("recommendation_id", "user_id", "model_version", "experiment", "arm"), pa.string()),
    "position": pa.int64(),
    "source": pa.string(),
    "propensity": pa.float64(),
    "clicked": pa.int64(),
    "played": pa.int64(),
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """How one model fared in one arm.

    Attributes:
        model: its version.
        experiment: of the listeners, or `none`.
        arm: theirs, or `none`.
        answers: how many were given.
        clicked: share of the places that was clicked.
        played: share that was played within a day.
        ranked: share clicked of what the ranking itself would show (SNIPS).
        explored: share clicked of what exploration showed; of no places where nothing was explored.
        by_place: place to its share clicked.
    """

    model: str
    experiment: str
    arm: str
    answers: int
    clicked: Estimate
    played: Estimate
    ranked: Estimate
    explored: Estimate
    by_place: dict[int, float]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One arm of an experiment against its champion's: shares clicked and played, whole listeners drawn anew."""

    experiment: str
    arm: str
    listeners: int
    clicked: Estimate
    played: Estimate


def read_exposures(connection: psycopg.Connection[Any]) -> pa.Table:
    """Return what was shown in the last days, one row per answer and place, with the columns of `Line`'s words."""
    return pa.Table.from_batches(list(read_copy(connection, _QUERY, _KINDS)), schema=pa.schema(list(_KINDS.items())))


def lines(shown: pa.Table) -> list[Line]:
    """Return one line per model and arm, the newest model first."""
    found = [_line(keys, part) for keys, part in _parts(shown, ["model_version", "experiment", "arm"])]
    return sorted(found, key=lambda line: (line.model, line.experiment, line.arm), reverse=True)


def comparisons(shown: pa.Table) -> list[Comparison]:
    """Return every arm of every experiment against its champion's; an experiment without one has none."""
    found = []
    for (experiment,), part in _parts(shown, ["experiment"]):
        arms = {arm: rows for (arm,), rows in _parts(part, ["arm"])}
        control = arms.pop(CONTROL, None)
        if experiment != NONE and control is not None:
            found += [_comparison(experiment, arm, rows, control) for arm, rows in sorted(arms.items())]
    return found


def lines_table(found: Iterable[Line]) -> str:
    """Return lines as a table in Markdown."""
    head = [
        "model",
        "experiment",
        "arm",
        "answers",
        "clicked",
        "played",
        "clicked, ranked (SNIPS)",
        "clicked, explored",
    ]
    rows = [
        [line.model, line.experiment, line.arm, line.answers, line.clicked, line.played, line.ranked, line.explored]
        for line in found
    ]
    return table(head, rows)


def comparisons_table(found: Iterable[Comparison]) -> str:
    """Return comparisons as a table in Markdown."""
    head = ["experiment", "arm", "listeners", "clicked more than champion's", "played more than champion's"]
    return table(head, [[each.experiment, each.arm, each.listeners, each.clicked, each.played] for each in found])


def _line(keys: tuple[str, ...], rows: pa.Table) -> Line:
    clicked, played = _numbers(rows, "clicked"), _numbers(rows, "played")
    answer, place = _codes(rows, "recommendation_id"), rows.column("position").to_numpy()
    tried = pc.is_in(rows.column("source"), pa.array(DRAWN)).to_numpy(zero_copy_only=False)
    logged = np.nan_to_num(_numbers(rows, "propensity"), nan=1.0)
    own = Log(reward=clicked, logged=logged, target=np.where(tried, 0.0, 1.0), cluster=answer)
    counts = np.bincount(place)
    rates = np.bincount(place, weights=clicked) / np.maximum(counts, 1)
    return Line(
        model=keys[0],
        experiment=keys[1],
        arm=keys[2],
        answers=len(np.unique(answer)),
        clicked=mean(clicked, answer),
        played=mean(played, answer),
        ranked=snips(own),
        explored=mean(clicked[tried], answer[tried]),
        by_place={int(each): float(rates[each]) for each in np.flatnonzero(counts)},
    )


def _comparison(experiment: str, arm: str, rows: pa.Table, control: pa.Table) -> Comparison:
    return Comparison(
        experiment=experiment,
        arm=arm,
        listeners=len(pc.unique(rows.column("user_id"))) + len(pc.unique(control.column("user_id"))),
        clicked=difference(_seen(rows, "clicked"), _seen(control, "clicked")),
        played=difference(_seen(rows, "played"), _seen(control, "played")),
    )


def _seen(rows: pa.Table, reward: str) -> Log:
    """Return a log as it was seen, by listener: they were dealt to the arms, not their answers."""
    ones = np.ones(rows.num_rows)
    return Log(reward=_numbers(rows, reward), logged=ones, target=ones, cluster=_codes(rows, "user_id"))


def _parts(rows: pa.Table, names: list[str]) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    for key in rows.select(names).group_by(names).aggregate([]).to_pylist():
        mask = np.ones(rows.num_rows, dtype=bool)
        for name in names:
            mask &= pc.equal(rows.column(name), key[name]).to_numpy(zero_copy_only=False)
        yield tuple(key[name] for name in names), rows.filter(pa.array(mask))


def _numbers(rows: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(rows.column(name).cast(pa.float64()).to_numpy(), dtype=np.float64)


def _codes(rows: pa.Table, name: str) -> NDArray[np.int64]:
    encoded = pc.dictionary_encode(rows.column(name).combine_chunks())
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
