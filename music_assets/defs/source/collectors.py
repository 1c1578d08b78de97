"""What live sources tell: plays of accounts, facts about artists and tracks, and what looks at them have missed.

Without a key a collector runs on recorded answers of an invented world, and its metadata say `recorded`.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from music_assets.resources import PlatformResource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import psycopg

    from music_assets.sources.enrich import Gathered
    from music_assets.sources.http import FetchError
    from music_assets.sources.listens import Collected

_ROWS: Final = 10


def _books(platform: PlatformResource) -> "AbstractContextManager[psycopg.Connection[tuple[Any, ...]]]":
    import psycopg

    return psycopg.connect(platform.settings().database, connect_timeout=10, autocommit=True)


def _cells(value: object) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, int | float | bool) else str(value)


def _table(rows: "Sequence[dict[str, object]]") -> dg.TableMetadataValue:
    records = [dg.TableRecord({name: _cells(value) for name, value in row.items()}) for row in rows[:_ROWS]]
    names = list(rows[0]) if rows else ["none"]
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name) for name in names]))


def _fail_if_nothing_came(errors: "Sequence[FetchError]", *, brought: int) -> None:
    """End the run as failed when a source gave nothing at all; what it gave in part is a warning."""
    if errors and not brought:
        raise dg.Failure(
            description="; ".join(dict.fromkeys(map(str, errors))),
            metadata={"outcomes": [str(error.outcome) for error in errors]},
            allow_retries=False,
        )


def _looks(conn: "psycopg.Connection[tuple[Any, ...]]", source: str, since: datetime) -> dict[str, Any]:
    row = conn.execute(
        "select coalesce(sum(requests), 0), coalesce(sum(retries), 0), string_agg(distinct note, '; ')"
        " from source.fetches where source = %s and started_at >= %s",
        [source, since],
    ).fetchone()
    assert row is not None
    return {"requests": int(row[0]), "retries": int(row[1]), "notes": row[2] or ""}


def _listens(name: str, context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    from dataclasses import asdict

    from music_assets.sources.books import Books
    from music_assets.sources.collect import collect, opened
    from music_assets.sources.sink import topics

    settings, began = platform.settings(), datetime.now(UTC)
    with _books(platform) as conn, topics(settings) as sink, opened(name, settings) as source:
        collected: Collected = collect(source, Books(conn), sink)
        for error in collected.errors:
            context.log.warning("%s", error)
        looks = _looks(conn, name, began)
    _fail_if_nothing_came(collected.errors, brought=collected.sent)
    shown = [
        {key: row[key] for key in ("played_at", "artist", "title", "album")} for row in map(asdict, collected.sample)
    ]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": collected.sent,
            "origin": str(source.source.origin),
            "rejected": collected.rejected,
            "newest_play": str(collected.newest or "none"),
            "outcomes": [str(error.outcome) for error in collected.errors] or ["ok"],
            "preview": _table(shown),
            **looks,
        }
    )


def _facts(source: str, context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    from music_assets.sources import enrich
    from music_assets.sources.books import Books
    from music_assets.sources.sink import topics

    gather = {"lastfm": enrich.lastfm_facts, "spotify": enrich.spotify_facts}[source]
    settings, began = platform.settings(), datetime.now(UTC)
    with _books(platform) as conn, topics(settings) as sink:
        gathered: Gathered = gather(settings, Books(conn), sink.publish)
        looks = _looks(conn, source, began)
    for error in gathered.errors:
        context.log.warning("%s", error)
    total = sum(gathered.rows.values())
    _fail_if_nothing_came(gathered.errors, brought=total)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total,
            "origin": str(gathered.origin),
            "rows": gathered.rows,
            "told_by": {str(provider): count for provider, count in gathered.providers.items()},
            "outcomes": [str(error.outcome) for error in gathered.errors] or ["ok"],
            "preview": _table([fact._asdict() for fact in gathered.sample]),
            **looks,
        }
    )


@dg.asset(key=["source", "lastfm_listens"], kinds={"python", "kafka"}, group_name="source", owners=["team:platform"])
def lastfm_listens(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One row per scrobble of the accounts in LASTFM_USERS, up to now, sent to `events_listens`."""
    return _listens("lastfm", context, platform)


@dg.asset(key=["source", "spotify_listens"], kinds={"python", "kafka"}, group_name="source", owners=["team:platform"])
def spotify_listens(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One row per play of the Spotify account since the last look, sent to `events_listens`; Spotify keeps 50."""
    return _listens("spotify", context, platform)


@dg.asset(
    key=["source", "listenbrainz_listens"], kinds={"python", "kafka"}, group_name="source", owners=["team:platform"]
)
def listenbrainz_listens(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One row per listen of the accounts in LISTENBRAINZ_USERS, up to now, sent to `events_listens`."""
    return _listens("listenbrainz", context, platform)


@dg.asset(
    key=["source", "lastfm_artists"],
    kinds={"python", "postgres"},
    deps=[["source", "lastfm_listens"]],
    group_name="source",
    owners=["team:platform"],
)
def lastfm_artists(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One row per artist and track that Last.fm tells about, with listeners, tags and similar artists."""
    return _facts("lastfm", context, platform)


@dg.asset(key=["source", "spotify_tracks"], kinds={"python", "postgres"}, group_name="source", owners=["team:platform"])
def spotify_tracks(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One row per track, artist and album in the Spotify account's library, with popularity where Spotify tells it."""
    return _facts("spotify", context, platform)


@dg.asset(
    key=["source", "gaps"],
    kinds={"python", "postgres"},
    deps=[["source", f"{name}_listens"] for name in ("lastfm", "spotify", "listenbrainz")],
    group_name="source",
    owners=["team:platform"],
)
def gaps(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One row per time of the last 30 days that no look at a live account covers."""
    from dataclasses import asdict

    from music_assets.sources.collect import owner_of
    from music_assets.sources.gaps import WATCHED, find

    now = datetime.now(UTC)
    with _books(platform) as conn:
        found = find(conn, owner_of(platform.settings()), now, since=now - WATCHED)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(found),
            "origin": "live",
            "gaps": _table([asdict(gap) for gap in found]),
        }
    )
