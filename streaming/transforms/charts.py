"""The charts' arithmetic on Arrow: what listeners add to each item, and the best items of each kind.

Both engines call it, Spark for each share of the listeners. Points are counted in whole millionths: integer sums do
not depend on the order or the grouping of the rows, so the engines and every repetition agree to the last digit.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.events import ItemKind
from streaming.tables import UTC_MICROSECONDS
from streaming.trending import TOP, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from numpy.typing import NDArray

    from streaming.trending import Window

    Ints = NDArray[np.signedinteger[Any]]

EVENTS: Final = pa.schema(
    [
        ("user_id", pa.string()),
        ("event_type", pa.string()),
        ("item_id", pa.string()),
        ("timestamp", UTC_MICROSECONDS),
        ("artist_id", pa.string()),
        ("album_id", pa.string()),
    ]
)
"""An event with the artist and the album that the catalogue gives its item."""

SCORES: Final = pa.schema(
    [("item_id", pa.string()), ("points", pa.int64()), ("listeners", pa.int64()), ("events", pa.int64())]
)
"""What listeners add to an item: millionths of a point, how many they are, and their events."""

_MICRO: Final = 1_000_000
_MINUTE: Final = 60 * _MICRO
_SLICE_ROWS: Final = 500_000
"""Rows that are held with their strings; what is kept of an event afterwards is 16 bytes."""
_SHARE_ROWS: Final = 100_000
"""Events whose listeners are summed up at once: few enough for the processor's cache."""


def owners(songs: pa.Table, albums: pa.Table) -> pa.Table:
    """Return `item_id`, `artist_id` and `album_id` of the catalogue's tracks and albums."""
    tracks = songs.filter(pc.starts_with(songs["item_id"], f"{ItemKind.TRACK}:"))
    others = albums.filter(pc.starts_with(albums["item_id"], f"{ItemKind.ALBUM}:"))
    columns = ["item_id", "artist_id", "album_id"]
    without = others.append_column("album_id", pa.nulls(others.num_rows, pa.string()))
    return pa.concat_tables([tracks.select(columns), without.select(columns)], promote_options="permissive")


def owned(batches: Iterable[pa.RecordBatch], owners: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield events as `EVENTS`: with the artist and the album of their items."""
    items, artists, albums = (owners[name].combine_chunks() for name in ("item_id", "artist_id", "album_id"))
    for batch in batches:
        places = pc.index_in(batch["item_id"], items)
        columns = [*batch.select(EVENTS.names[:4]).columns, artists.take(places), albums.take(places)]
        yield pa.RecordBatch.from_arrays(columns, names=EVENTS.names)


def contributions(batches: Iterable[pa.RecordBatch], *, window: Window, as_of: datetime) -> pa.Table:
    """Return what some listeners add to each item and to its artist and album.

    Args:
        batches: `EVENTS` of these listeners, all of them, in any order; those outside the window do not count.
        window: the rules.
        as_of: end of the window, with a zone.

    Returns:
        `SCORES`, one row per item.
    """
    events = _Events(window, as_of)
    for rows in _slices(batches):
        events.take(rows)
    kinds = _kinds(events.items.values)
    sums = np.zeros((3, len(kinds)), np.int64)
    for share in events.shares():
        sums += _share(share, events, kinds)
    found = pa.table([events.items.values, *sums], schema=SCORES)
    return found.filter(pc.field("listeners") > 0)


def top(scores: pa.Table) -> pa.Table:
    """Return the rows of the best items of each kind, best first, ties in order of item id."""
    kinds = _kinds(scores["item_id"])
    order: Final = [("points", "descending"), ("item_id", "ascending")]
    return pa.concat_tables(
        mine.take(pc.select_k_unstable(mine, TOP, order))
        for number in range(len(ItemKind))
        for mine in [scores.filter(pa.array(kinds == number))]
    )


def ranked(scores: pa.Table) -> pa.Table:
    """Return the chart of all listeners' `SCORES`: item_id, item_kind, rank, score, listeners, events."""
    best = top(scores)
    kinds = _kinds(best["item_id"])
    first = np.searchsorted(kinds, kinds)
    return pa.table(
        {
            "item_id": best["item_id"],
            "item_kind": pa.array([kind.value for kind in ItemKind]).take(pa.array(kinds)),
            "rank": pa.array(np.arange(len(kinds)) - first + 1, pa.int32()),
            "score": pa.array(best["points"].to_numpy() / _MICRO),
            "listeners": best["listeners"],
            "events": best["events"],
        }
    )


def dated(chart: pa.Table, previous: pa.Table, *, as_of: datetime) -> pa.Table:
    """Return a `ranked` chart with its date and, as `previous_rank`, the ranks of its items in another one."""
    places = pc.index_in(chart["item_id"], previous["item_id"].combine_chunks())
    moments = pa.repeat(pa.scalar(as_of, UTC_MICROSECONDS), chart.num_rows)
    return chart.append_column("as_of", moments).append_column("previous_rank", previous["rank"].take(places))


class _Numbers:
    """Numbers for strings, in order of first appearance."""

    def __init__(self) -> None:
        self.values = pa.array([], pa.string())

    def of(self, *columns: pa.ChunkedArray) -> list[Ints]:
        """Return each column as numbers, -1 where it is null."""
        every = pa.concat_arrays([self.values, *(column.combine_chunks() for column in columns)]).dictionary_encode()
        ends = np.cumsum([len(self.values), *(len(column) for column in columns)])
        self.values = every.dictionary
        numbers = every.indices.fill_null(-1).to_numpy()
        return [numbers[first:end] for first, end in itertools.pairwise(ends)]


class _Events:
    """The events of a window as rows of `EVENTS`, sorted by listener within each slice.

    Attributes:
        items: numbers of items, artists and albums.
        counts: events by listener, those beyond the limit included.
        owners: artist and album by item, -1 where there is none.
    """

    def __init__(self, window: Window, as_of: datetime) -> None:
        self.window = window
        self.items = _Numbers()
        self.counts = np.zeros(0, np.int64)
        self.owners = np.full((2, 0), -1, np.int32)
        self._listeners = _Numbers()
        self._slices: list[Ints] = []
        self._as_of = pa.scalar(as_of, UTC_MICROSECONDS)
        self._after = pa.scalar(as_of - window.length, UTC_MICROSECONDS)

    def take(self, rows: pa.Table) -> None:
        """Add a slice of `EVENTS`."""
        counted = (pc.field("timestamp") > self._after) & (pc.field("timestamp") <= self._as_of)
        rows = rows.filter(counted & pc.field("event_type").isin(list(WEIGHTS)))
        (listener,) = self._listeners.of(rows["user_id"])
        item, artist, album = self.items.of(
            rows["item_id"], _of_kind(rows["artist_id"], ItemKind.ARTIST), _of_kind(rows["album_id"], ItemKind.ALBUM)
        )
        self.owners = _longer(self.owners, len(self.items.values), -1)
        self.owners[:, item] = artist, album
        before = _longer(self.counts, len(self._listeners.values), 0)
        self.counts = before + np.bincount(listener, minlength=len(before))
        micros = rows["timestamp"].cast(pa.int64()).to_numpy()
        columns = np.stack([listener, item, self._points(rows["event_type"], micros), micros // _MINUTE])
        # Of a flood only the events up to the first slice beyond the limit are kept: they are enough to know it.
        kept = np.flatnonzero(before[listener] <= self.window.window_limit)
        self._slices.append(columns[:, kept[np.argsort(listener[kept])]].astype(np.int32))

    def _points(self, event_types: pa.ChunkedArray, micros: Ints) -> Ints:
        weight = np.array(list(WEIGHTS.values()))[pc.index_in(event_types, pa.array(list(WEIGHTS))).to_numpy()]
        half_lives = (self._as_of.value - micros) / (self.window.half_life.total_seconds() * _MICRO)
        points: Ints = np.floor(weight * _MICRO * np.exp2(-half_lives) + 0.5).astype(np.int64)
        return points

    def shares(self) -> Iterator[Ints]:
        """Yield the events of some listeners after the other, rows of `EVENTS`."""
        kept = np.minimum(self.counts, self.window.window_limit)
        ends = np.searchsorted(np.cumsum(kept), np.arange(1, kept.sum() // _SHARE_ROWS + 1) * _SHARE_ROWS)
        for first, end in itertools.pairwise([0, *np.unique(ends), len(kept)]):
            parts = [each[:, slice(*np.searchsorted(each[0], (first, end)))] for each in self._slices]
            yield np.concatenate(parts, axis=1) if parts else np.zeros((4, 0), np.int32)


def _longer(rows: Ints, size: int, fill: int) -> Ints:
    """The same rows with room for `size` numbers."""
    room = np.full((*rows.shape[:-1], size), fill, rows.dtype)
    room[..., : rows.shape[-1]] = rows
    return room


def _slices(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= _SLICE_ROWS:
            yield pa.Table.from_batches(held)
            held, rows = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _of_kind(ids: pa.ChunkedArray, kind: ItemKind) -> pa.ChunkedArray:
    """The ids that are of a kind, null where not: what a catalogue calls an artist may be anything."""
    return pc.if_else(pc.starts_with(ids, f"{kind}:"), ids, pa.scalar(None, pa.string()))


def _kinds(item_ids: pa.Array | pa.ChunkedArray) -> Ints:
    """The place of each item's kind in `ItemKind`, -1 for none of them."""
    found = np.full(len(item_ids), -1, np.int64)
    for number, kind in enumerate(ItemKind):
        found[np.asarray(pc.starts_with(item_ids, f"{kind}:"))] = number
    return found


def _share(events: Ints, about: _Events, kinds: Ints) -> Ints:
    """Points, listeners and events by item, of complete listeners."""
    window = about.window
    listener, item, points, _ = events[:, _people(events, about)]
    items = np.stack([item, *about.owners[:, item]])
    pairs = _pairs(listener, np.where(kinds[items] >= 0, items, -1), points)
    listener, item, points, count = (pairs[name].to_numpy() for name in ("listener", "item", "points", "events"))
    capped = np.minimum(points, round(window.item_cap * _MICRO))
    # Numbers of this share alone: the sums would have a place for every listener before it otherwise.
    first = listener.min() if len(listener) else 0
    account = (listener - first) * len(ItemKind) + kinds[item]
    total = _sums(account, capped)[account]
    cap = round(window.listener_cap * _MICRO)
    scaled = np.where(total > cap, capped * cap // np.maximum(total, 1), capped)
    return np.stack([_sums(item, each, len(kinds)) for each in (scaled, np.ones_like(scaled), count)])


def _people(events: Ints, about: _Events) -> NDArray[np.bool_]:
    """Whether each event is of a listener that keeps within the limits."""
    listener, _, _, minute = events
    minutes = _grouped({"listener": listener, "minute": minute}).aggregate([([], "count_all")])
    people: NDArray[np.bool_] = about.counts <= about.window.window_limit
    people[minutes["listener"].to_numpy()[minutes["count_all"].to_numpy() > about.window.minute_limit]] = False
    mine: NDArray[np.bool_] = people[listener]
    return mine


def _pairs(listener: Ints, items: Ints, points: Ints) -> pa.Table:
    """Points and events of each listener on each item; `items` has a row for the items, one for each owner."""
    named = items >= 0
    columns = {
        name: np.broadcast_to(each, items.shape)[named]
        for name, each in (("listener", listener), ("item", items), ("points", points))
    }
    summed = _grouped(columns, by=["listener", "item"]).aggregate([("points", "sum"), ([], "count_all")])
    return summed.rename_columns({"points_sum": "points", "count_all": "events"})


def _grouped(columns: dict[str, Ints], by: list[str] | None = None) -> pa.TableGroupBy:
    # Beside Spark's workers, threads of its own only take turns.
    return pa.table(columns).group_by(by or list(columns), use_threads=False)


def _sums(groups: Ints, values: Ints, size: int = 0) -> Ints:
    """Sums by group; exact, because they stay far below 2**53."""
    return np.bincount(groups, weights=values, minlength=size).astype(np.int64)
