"""What there is to match: artists and tracks of the catalogue and of the sources, with how often they were played."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from music_assets.resolution.match import ACTIVE, ArtistName, Match, TrackName, match_artists, match_tracks
from music_assets.resolution.names import title_key

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

_ARTISTS: Final = """
    select item_id, min(name), min(mbid) from (
        select item_id, name, null as mbid from silver.catalog_artists
        union all select item_id, name, mbid from source.artists
    ) as named group by item_id
"""
_TRACKS: Final = """
    select distinct on (item_id)
        item_id, name, artist_id, duration_ms, min(mbid) over (partition by item_id)
    from (
        select item_id, name, artist_id, duration_ms, null as mbid, 0 as rank from silver.catalog_songs
        union all select item_id, name, artist_id, duration_ms, mbid, 1 from source.tracks
    ) as named where artist_id is not null order by item_id, rank, name
"""
_PLAYS: Final = "select item_id, count(*) from silver.events_listens group by item_id"


def find(conn: Connection) -> list[Match]:
    """Return all matches of artists and tracks, from the warehouse's copy of the catalogue and the sources' facts."""
    plays: dict[str, int] = dict(conn.execute(_PLAYS).fetchall())
    rows = conn.execute(_TRACKS).fetchall()
    titles: dict[str, set[str]] = defaultdict(set)
    weights: dict[str, int] = defaultdict(int, plays)
    for item_id, title, artist_id, *_ in rows:
        titles[artist_id].add(title_key(title))
        weights[artist_id] += plays.get(item_id, 0) + 1
    artists = match_artists(
        [
            ArtistName(
                item_id=item_id, name=name, weight=weights[item_id], titles=frozenset(titles[item_id]), mbid=mbid
            )
            for item_id, name, mbid in conn.execute(_ARTISTS)
        ]
    )
    tracks = [
        TrackName(
            item_id=item_id,
            title=title,
            artist_id=artist_id,
            weight=plays.get(item_id, 0),
            duration_ms=duration_ms,
            mbid=mbid,
        )
        for item_id, title, artist_id, duration_ms, mbid in rows
    ]
    return artists + match_tracks(tracks, canonical_ids(artists))


def canonical_ids(matches: list[Match]) -> dict[str, str]:
    """Return, by item id, what an active match leads to."""
    return {match.item_id: match.canonical_id for match in matches if match.confidence >= ACTIVE}
