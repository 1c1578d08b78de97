"""What was shown to whom at which place, and what of it was played: answers of which something was."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from music_assets.recommender.interactions import read_copy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import psycopg
    from numpy.typing import NDArray

PLAYED_WITHIN: Final = 86_400_000_000
"""Microseconds after a showing within which a play counts: the day of `fct_recommendations.listened_within_day`."""

MOST_ANSWERS: Final = 10_000
"""Answers read, drawn at random but always the same ones: a hundred thousand places and more, twice as many lists as
there are of listens that nobody was shown anything for."""

# An answer of which nothing was played, or all, has no pair of which one is better: it teaches no order.
_QUERY: Final = """
copy (
    with answers as (
        select recommendation_id
        from marts.fct_recommendations
        where shown_at >= to_timestamp(%(since)s) and shown_at < to_timestamp(%(until)s)
        group by recommendation_id
        having bool_or(listened_within_day) and not bool_and(listened_within_day)
        order by md5(recommendation_id), recommendation_id
        limit %(most)s
    )
    select
        shown.recommendation_id, shown.user_id, shown.item_id, shown.position,
        (extract(epoch from shown.shown_at) * 1000000)::bigint, shown.listened_within_day::int
    from marts.fct_recommendations as shown
    inner join answers on shown.recommendation_id = answers.recommendation_id
    order by shown.recommendation_id, shown.position
) to stdout (format csv)
"""
_COLUMNS: Final = {
    "recommendation_id": pa.string(),
    "user_id": pa.string(),
    "item_id": pa.string(),
    "position": pa.int64(),
    "shown_at": pa.int64(),
    "played": pa.int64(),
}


@dataclass(frozen=True, kw_only=True)
class Exposures:
    """One entry per answer and place; the entries of an answer follow each other.

    Attributes:
        users: listener ids.
        items: item ids.
        answer: number of the answer, from 0, ascending, int64.
        user: index into `users`, int64.
        item: index into `items`, int64.
        place: from 1, int64.
        time: when it was shown, microseconds since 1970 in UTC, int64.
        played: whether the listener played it within `PLAYED_WITHIN`, bool.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    answer: NDArray[np.int64]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    place: NDArray[np.int64]
    time: NDArray[np.int64]
    played: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.answer)

    @property
    def answers(self) -> int:
        """Return how many answers there are."""
        return len(np.unique(self.answer))

    @property
    def plays(self) -> int:
        """Return how many places were played."""
        return int(self.played.sum())

    def telling(self, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which entries stay if only some may: those of answers that have both, something played and not.

        Args:
            keep: which may, bool, shape (entries,).
        """
        _, answer = np.unique(self.answer, return_inverse=True)
        size = int(answer.max(initial=-1)) + 1
        entries, plays = (np.bincount(answer[each], minlength=size) for each in (keep, keep & self.played))
        return keep & ((plays > 0) & (plays < entries))[answer]

    def kept(self, keep: NDArray[np.bool_]) -> Exposures:
        """Return the entries that stay if only some may, their answers numbered anew; see `telling`."""
        stay = self.telling(keep)
        _, numbers = np.unique(self.answer[stay], return_inverse=True)
        arrays = {name: getattr(self, name)[stay] for name in _ARRAYS if name != "answer"}
        return Exposures(users=self.users, items=self.items, answer=numbers.astype(np.int64), **arrays)

    def between(self, since: int, until: int) -> Exposures:
        """Return what was shown and could be played within a time, in microseconds since 1970."""
        return self.kept((self.time >= since) & (self.time + PLAYED_WITHIN <= until))

    @classmethod
    def collect(cls, batches: Iterable[pa.RecordBatch]) -> Exposures:
        """Build from batches with the columns of `read_exposures`."""
        rows = pa.Table.from_batches(list(batches), schema=pa.schema(list(_COLUMNS.items())))
        users, user = _coded(rows.column("user_id"))
        items, item = _coded(rows.column("item_id"))
        _, answer = _coded(rows.column("recommendation_id"))
        order = np.lexsort((rows.column("position").to_numpy(), answer))
        found = cls(
            users=users,
            items=items,
            answer=answer[order],
            user=user[order],
            item=item[order],
            place=rows.column("position").to_numpy()[order],
            time=rows.column("shown_at").to_numpy()[order],
            played=rows.column("played").to_numpy()[order] > 0,
        )
        return found.kept(np.ones(len(found), dtype=bool))

    def save(self, folder: Path) -> None:
        """Write the answers below a folder, which must exist."""
        np.savez(folder / "exposures.npz", **{name: getattr(self, name) for name in _ARRAYS})
        (folder / "vocabulary.json").write_text(json.dumps({"users": self.users, "items": self.items}), "utf-8")

    @classmethod
    def open(cls, folder: Path) -> Exposures | None:
        """Read what `save` wrote, or None where nothing was."""
        if not (folder / "vocabulary.json").exists():
            return None
        names = json.loads((folder / "vocabulary.json").read_text("utf-8"))
        with np.load(folder / "exposures.npz", allow_pickle=False) as arrays:
            return cls(users=tuple(names["users"]), items=tuple(names["items"]), **arrays)


_ARRAYS: Final = tuple(each.name for each in fields(Exposures) if each.name not in {"users", "items"})


def read_exposures(
    connection: psycopg.Connection[Any], *, since: int, until: int, most: int = MOST_ANSWERS
) -> Iterator[pa.RecordBatch]:
    """Stream answers that were shown within a time and of which something, but not all, was played within a day.

    Args:
        connection: to the warehouse.
        since: microseconds since 1970.
        until: microseconds since 1970; what could be played only after it is left out.
        most: answers at most.
    """
    given = {"since": since / 1e6, "until": (until - PLAYED_WITHIN) / 1e6, "most": most}
    yield from read_copy(connection, _QUERY, _COLUMNS, given)


def _coded(column: pa.ChunkedArray) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the different values, sorted, and for each value its place among them."""
    values = tuple(sorted(pc.unique(column).to_pylist()))
    return values, pc.index_in(column, pa.array(values, pa.string())).to_numpy().astype(np.int64)
