"""What the page shows in its tests: listeners, names, a model, charts, marts and a ledger, all invented."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx
import psycopg
import pyarrow as pa
import redis

from music_assets.recommender import bundle, features
from music_assets.recommender.bundle import Contents
from music_assets.recommender.models.ease import Ease
from music_assets.sources.names import COUNTRIES, GENRES, distinct
from music_assets.stack.process import wait_until
from serving.parts import Parts
from streaming.lake import Lake
from streaming.tables import LEDGER, TRENDING_1H, TRENDING_24H, dead_letters, silver, tables
from tests.recommender.worlds import listens
from tests.serving import marts, worlds

if TYPE_CHECKING:
    from serving.settings import Settings

LISTENERS: Final = ("wren", "ines", "tomas", "mirjam")
LISTENER: Final = LISTENERS[0]
_ARTISTS, _SONGS = 40, 4
_SECONDS: Final = 30.0
_TASTES: Final = 4


class World(NamedTuple):
    """Names of artists and songs by their ids; the artist of each song."""

    artists: dict[str, str]
    songs: dict[str, str]
    by: dict[str, str]


def world() -> World:
    """Return names that are the same at each run."""
    rng = Random(7)
    artists = {f"artist:a{number:02d}": name for number, name in enumerate(distinct(rng, _ARTISTS, "artist"))}
    names = iter(distinct(rng, _ARTISTS * _SONGS, "track"))
    by = {f"track:{artist.removeprefix('artist:')}-{song}": artist for artist in artists for song in range(_SONGS)}
    return World(artists, {song: next(names) for song in by}, by)


def plant_lake(settings: Settings) -> None:
    """Write catalogue, charts, a model and a ledger."""
    known, rng, lake = world(), Random(3), Lake(settings.storage)
    for table in tables().values():
        lake.create(table)
    genres = {artist: GENRES[number % _TASTES] for number, artist in enumerate(known.artists)}
    worlds.names(settings, known.artists, genres)
    _songs(settings, known)
    for table, most in ((TRENDING_1H, 40), (TRENDING_24H, 400)):
        _trending(settings, known, rng, table, most)
    _model(settings, known)
    _ledger(settings)
    _dead_letters(settings)


def _songs(settings: Settings, known: World) -> None:
    table = silver("catalog_songs")
    now = datetime.now(UTC)
    common = {"schema_version": 1, "kafka_topic_id": "t", "kafka_partition": 0, "ingested_at": now}
    rows = [
        dict.fromkeys(table.schema.names)
        | {"item_id": song, "name": name, "artist_id": known.by[song], "kafka_offset": offset}
        | common
        for offset, (song, name) in enumerate(known.songs.items())
    ]
    _write(settings, table, rows)


def _trending(settings: Settings, known: World, rng: Random, table: Any, most: int) -> None:
    tick = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for kind, items in (("track", [*known.songs]), ("artist", [*known.artists])):
        shown = rng.sample(items, 20)
        for rank, item in enumerate(shown, start=1):
            events = round(most / rank**0.5)
            rows.append({
                "as_of": tick, "item_id": item, "item_kind": kind, "rank": rank,
                "previous_rank": max(1, rank + rng.randint(-4, 4)) if rank % 6 else None,
                "score": float(events) + 1 / rank, "listeners": max(1, events // 3), "events": events,
            })  # fmt: skip
    _write(settings, table, rows)


def _model(settings: Settings, known: World) -> None:
    """Listeners of four tastes, each of whom heard most artists and songs of theirs."""
    items = [*known.artists, *known.songs]
    taste = {item: [*known.artists].index(known.by.get(item, item)) % _TASTES for item in items}
    played = listens(
        (f"u{user:03d}", item, user * 1000 + place)
        for user in range(80)
        for place, item in enumerate(items)
        if taste[item] == user % _TASTES and (user * 7 + place * 5) % 9
    )
    model = Ease(strength=5).fit(played)
    names = {**known.artists, **known.songs}
    contents = Contents(
        model=model, holdout=model, recipe="ease", settings={}, metrics={"ndcg@10": 0.41}, cutoff=1, data_until=2,
        names=names,
    )  # fmt: skip
    version = bundle.write(settings.model_root, contents)
    bundle.promote(settings.model_root, version)


def _ledger(settings: Settings) -> None:
    base: dict[str, Any] = {field.name: 0 for field in LEDGER.schema if pa.types.is_integer(field.type)}
    base |= {field.name: "x" for field in LEDGER.schema if pa.types.is_string(field.type)}
    base |= {"erased": None, "committed_at": datetime.now(UTC)}
    counts = {"events_listens": (48_210, 47_902, 291, 17), "events_views": (9_120, 9_120, 0, 0)}
    rows = [
        base
        | {"topic": topic, "end_offset": received, "received": received, "stored": stored, "duplicate": twice}
        | {"dead_lettered": dead}
        for topic, (received, stored, twice, dead) in counts.items()
    ]
    _write(settings, LEDGER, rows)


def _dead_letters(settings: Settings) -> None:
    """Write three ratings that break their contract."""
    now = datetime.now(UTC)
    table = dead_letters("events_ratings")
    rows = [
        {
            "kafka_topic_id": "t", "kafka_partition": 0, "kafka_offset": offset, "kafka_timestamp": now, "key": b"k",
            "value": b'{"rating": 11}', "headers": [], "reason": "out_of_range", "field": "rating",
            "detail": "rating must lie between 0 and 5", "ingested_at": now,
        }
        for offset in range(3)
    ]  # fmt: skip
    _write(settings, table, rows)


def _write(settings: Settings, table: Any, rows: list[dict[str, Any]]) -> None:
    from deltalake import write_deltalake

    lake = Lake(settings.storage)
    lake.create(table)
    path = str(lake.storage.folder / table.id)
    write_deltalake(path, pa.Table.from_pylist(rows, schema=table.schema), mode="overwrite")


def plant_people(url: str, settings: Settings, headers: dict[str, str]) -> None:
    """Let listeners be known by an event each, then give them histories and plays.

    Args:
        url: of the running API.
        settings: its settings.
        headers: what lets it take events in.
    """
    known = world()
    songs = [*known.songs]
    now = datetime.now(UTC)
    events = [
        {
            "user_id": user, "event_type": "listen", "item_id": songs[(number * 16 + turn * 4) % len(songs)],
            "timestamp": (now - timedelta(minutes=7 * turn + 2)).isoformat(), "ms_played": 180_000, "source": "web",
        }
        for number, user in enumerate(LISTENERS)
        for turn in range(12)
    ]  # fmt: skip
    httpx.post(f"{url}/events", json=events, headers=headers, timeout=_SECONDS).raise_for_status()
    with psycopg.connect(settings.database, autocommit=True) as connection:

        def listeners_known() -> dict[str, str]:
            found = connection.execute("select user_id, listener_id::text from identity.listener").fetchall()
            return {user: listener for user, listener in found if user in LISTENERS}

        # An identity store that takes its time has the first events spooled.
        assert wait_until(lambda: len(listeners_known()) == len(LISTENERS), seconds=_SECONDS)
        listeners = listeners_known()
    with psycopg.connect(settings.database) as connection:
        _marts(connection, known, listeners)
    with redis.Redis.from_url(settings.redis) as client:
        for number, user in enumerate(LISTENERS):
            mine = {artist: 5.0 + place for place, artist in enumerate([*known.artists][number : 12 + number : 4])}
            client.set(features.key(listeners[user]), features.encode(mine))


def _marts(connection: psycopg.Connection[Any], known: World, listeners: dict[str, str]) -> None:
    rng = Random(11)
    now = datetime.now(UTC).replace(minute=10, second=0, microsecond=0)
    songs = [*known.songs]
    rows = []
    for days in range(60):
        for _ in range(max(0, round(rng.gauss(7, 4)))):
            song = songs[min(len(songs) - 1, int(rng.expovariate(1 / 18)))]
            hour = rng.choices(range(24), [1, 0, 0, 0, 0, 0, 2, 6, 8, 4, 3, 3, 5, 4, 3, 3, 4, 6, 8, 9, 11, 12, 8, 3])[0]
            at = (now - timedelta(days=days)).replace(hour=hour)
            if at < now:
                rows.append(marts.listen(
                    at, listeners[LISTENER], song, known.by[song], ms_played=rng.randint(90, 260) * 1000,
                    is_skip=rng.random() < 0.08, origin="recommended" if rng.random() < 0.3 else "organic",
                ) | {"touched_at": now})  # fmt: skip
    marts.write(connection, "fct_listens", *rows)
    marts.write(
        connection, "dim_track",
        *({"track_id": song, "track_name": name, "artist_id": known.by[song]} for song, name in known.songs.items()),
    )  # fmt: skip
    marts.write(
        connection, "dim_artist",
        *(
            {"artist_id": artist, "artist_name": name, "genre": GENRES[n % _TASTES], "country": COUNTRIES[n % 10]}
            for n, (artist, name) in enumerate(known.artists.items())
        ),
    )  # fmt: skip
    marts.write(connection, "dim_album")
    marts.write(connection, "mart_charts_weekly", *_charts(known, rng, now))
    connection.commit()


def _charts(known: World, rng: Random, now: datetime) -> list[dict[str, Any]]:
    monday = now.date() - timedelta(days=now.weekday())
    rows: list[dict[str, Any]] = []
    for items, kind in ((known.songs, "track"), (known.artists, "artist")):
        before: dict[str, int] = {}
        for week in (monday - timedelta(days=14), monday - timedelta(days=7)):
            shown = rng.sample([*items], 30)
            rows += [_place(kind, item, week, rank, before.get(item), now) for rank, item in enumerate(shown, 1)]
            before = {item: rank for rank, item in enumerate(shown, 1)}
    return rows


def _place(kind: str, item: str, week: date, rank: int, before: int | None, now: datetime) -> dict[str, Any]:
    plays = round(300 / rank**0.6)
    return {
        "item_kind": kind, "item_id": item, "week_start": week, "rank": rank, "previous_rank": before,
        "listens": plays, "listeners": max(1, plays // 4), "touched_at": now,
    }  # fmt: skip


def wait_until_served(parts: Parts) -> None:
    """Wait until the API knows what was planted."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        if parts.names.value and parts.models.current and all(chart.rows for chart in parts.trending.value.values()):
            return
        time.sleep(0.05)
    raise AssertionError("the API did not read what was planted")
