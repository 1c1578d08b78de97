"""Small worlds of events and a catalogue, and the chart of a world written out as slowly and plainly as can be."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import write_deltalake

from streaming.lake import Lake
from streaming.storage import Storage
from streaming.tables import silver
from streaming.transforms.charts import EVENTS, contributions, owned, owners, ranked
from streaming.trending import TOP, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from streaming.trending import Window

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TABLES = {"view": "events_views", "click": "events_clicks", "listen": "events_listens", "rating": "events_ratings"}


@dataclass(frozen=True)
class Event:
    """Something that a listener did `age` before `NOW`."""

    user: str
    kind: str
    item: str
    age: timedelta = timedelta(0)


@dataclass(frozen=True)
class World:
    """Events and what the catalogue says: artist and album of tracks, artist of albums."""

    events: tuple[Event, ...] = ()
    songs: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    albums: Mapping[str, str | None] = field(default_factory=dict)


def chart(world: World, window: Window, as_of: datetime = NOW) -> dict[str, dict[str, Any]]:
    """The chart by item, from the transforms that both engines call."""
    rows = ({**_row(event), "artist_id": None, "album_id": None} for event in world.events)
    batches = pa.Table.from_pylist(list(rows), EVENTS).select(EVENTS.names[:4]).to_batches(max_chunksize=7)
    found = ranked(contributions(owned(batches, _owners(world)), window=window, as_of=as_of))
    return {row["item_id"]: row for row in found.to_pylist()}


def expected(world: World, window: Window, as_of: datetime = NOW) -> dict[str, dict[str, Any]]:
    """The same chart by the rules as the page says them, in plain Python."""
    inside = [
        event
        for event in world.events
        if event.kind in WEIGHTS and as_of - window.length < NOW - event.age <= as_of
    ]  # fmt: skip
    window_counts = Counter(event.user for event in inside)
    minute_counts = Counter((event.user, int((NOW - event.age).timestamp() // 60)) for event in inside)
    bots = {user for user, count in window_counts.items() if count > window.window_limit}
    bots |= {user for (user, _), count in minute_counts.items() if count > window.minute_limit}
    values: dict[tuple[str, str], int] = defaultdict(int)
    counts: Counter[str] = Counter()
    for event in inside:
        if event.user in bots:
            continue
        age = as_of - (NOW - event.age)
        value = int(WEIGHTS[event.kind] * 1e6 * 2.0 ** -(age / window.half_life) + 0.5)
        for item in (event.item, *_owners_of(event.item, world)):
            values[event.user, item] += value
            counts[item] += 1
    return _ranked(values, counts, window)


def _ranked(values: dict[tuple[str, str], int], counts: Counter[str], window: Window) -> dict[str, dict[str, Any]]:
    capped = {pair: min(value, int(window.item_cap * 1e6)) for pair, value in values.items()}
    totals: Counter[tuple[str, str]] = Counter()
    for (user, item), value in capped.items():
        totals[user, _kind(item)] += value
    scores: Counter[str] = Counter()
    listeners: Counter[str] = Counter()
    cap = int(window.listener_cap * 1e6)
    for (user, item), value in capped.items():
        total = totals[user, _kind(item)]
        scores[item] += value if total <= cap else value * cap // total
        listeners[item] += 1
    found: dict[str, dict[str, Any]] = {}
    for kind in ("track", "artist", "album"):
        mine = sorted((item for item in scores if _kind(item) == kind), key=lambda item: (-scores[item], item))
        for rank, item in enumerate(mine[:TOP], start=1):
            found[item] = {
                "item_id": item, "item_kind": kind, "rank": rank, "score": scores[item] / 1e6,
                "listeners": listeners[item], "events": counts[item],
            }  # fmt: skip
    return found


def _kind(item: str) -> str:
    return item.partition(":")[0]


def _owners_of(item: str, world: World) -> list[str]:
    artist, album = world.songs.get(item) or (world.albums.get(item), None)
    return [
        owner
        for owner, kind in ((artist, "artist"), (album, "album"))
        if owner is not None and _kind(owner) == kind
    ]  # fmt: skip


def _row(event: Event) -> dict[str, Any]:
    return {"user_id": event.user, "event_type": event.kind, "item_id": event.item, "timestamp": NOW - event.age}


def _catalogue(world: World) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    songs = [{"item_id": item, "artist_id": by, "album_id": on} for item, (by, on) in world.songs.items()]
    return songs, [{"item_id": item, "artist_id": by} for item, by in world.albums.items()]


def _owners(world: World) -> pa.Table:
    columns = pa.schema([("item_id", pa.string()), ("artist_id", pa.string()), ("album_id", pa.string())])
    songs, albums = _catalogue(world)
    return owners(pa.Table.from_pylist(songs, columns), pa.Table.from_pylist(albums, columns.remove(2)))


def store(root: Path, world: World) -> None:
    """Add a world to a lake's silver tables, as the streams would."""
    lake = Lake(Storage.local(root))
    lake.create_all()
    for kind, name in TABLES.items():
        _append(lake, name, [_row(event) for event in world.events if event.kind == kind])
    songs, albums = _catalogue(world)
    _append(lake, "catalog_songs", songs)
    _append(lake, "catalog_albums", albums)


def _append(lake: Lake, name: str, rows: Iterable[dict[str, Any]]) -> None:
    table = silver(name)
    full = [
        {
            "event_id": f"e{number}", "rating": 4.0, "name": "n", "schema_version": 1, "kafka_topic_id": "t",
            "kafka_partition": 0, "kafka_offset": number, "ingested_at": NOW, **row,
        }
        for number, row in enumerate(rows)
    ]  # fmt: skip
    if full:
        write_deltalake(str(lake.storage.folder / table.id), pa.Table.from_pylist(full, table.schema), mode="append")
