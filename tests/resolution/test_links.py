from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from music_assets.resolution import catalogue, links
from music_assets.resolution.match import Match
from music_assets.warehouse.schema import ensure_table
from streaming.errors import ConfigurationError
from streaming.tables import silver

if TYPE_CHECKING:
    from collections.abc import Iterator

    Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("truncate source.item_links, source.item_link_history")
        yield connection


def match(item: str, canonical: str, confidence: float = 0.95) -> Match:
    return Match(
        item_id=f"artist:{item}", canonical_id=f"artist:{canonical}", method="same_name", confidence=confidence
    )


def held(conn: Connection) -> dict[str, tuple[str, str]]:
    return {
        link.item_id.removeprefix("artist:"): (link.canonical_id.removeprefix("artist:"), link.status)
        for link in links.read(conn).values()
    }


def test_recorded_again_nothing_changes(conn: Connection) -> None:
    matches = [match("a", "b"), match("c", "b", 0.7)]
    assert links.record(conn, matches).written == 2
    again = links.record(conn, matches)
    assert (again.written, again.removed, again.active, again.proposed) == (0, 0, 1, 1)
    assert held(conn) == {"a": ("b", "active"), "c": ("b", "proposed")}


def test_a_link_that_is_found_no_more_goes_and_its_history_stays(conn: Connection) -> None:
    links.record(conn, [match("a", "b")])
    links.record(conn, [])
    assert held(conn) == {}
    actions = conn.execute("select action from source.item_link_history order by at").fetchall()
    assert actions == [("linked",), ("unlinked",)]


def test_a_persons_verdict_stands_above_the_rules(conn: Connection) -> None:
    links.record(conn, [match("a", "b"), match("c", "b", 0.7)])
    links.decide(conn, "artist:a", "artist:b", same=False, by="eva")
    links.decide(conn, "artist:c", "artist:b", same=True, by="eva")
    links.record(conn, [match("a", "b", 0.99)])
    assert held(conn) == {"a": ("b", "rejected"), "c": ("b", "active")}


def test_an_undone_merge_leaves_both_ids_as_they_were(conn: Connection) -> None:
    links.decide(conn, "artist:a", "artist:b", same=True, by="eva")
    links.undo(conn, "artist:a", by="eva")
    assert held(conn) == {}
    with pytest.raises(ConfigurationError, match="artist:a has no link"):
        links.undo(conn, "artist:a", by="eva")


def test_every_link_leads_to_an_end(conn: Connection) -> None:
    links.record(conn, [match("a", "b")])
    links.decide(conn, "artist:b", "artist:c", same=True, by="eva")
    assert held(conn) == {"a": ("c", "active"), "b": ("c", "active")}
    links.record(conn, [match("a", "b"), match("c", "d")])
    assert held(conn) == {"a": ("d", "active"), "b": ("d", "active"), "c": ("d", "active")}


def test_a_circle_is_refused(conn: Connection) -> None:
    links.decide(conn, "artist:a", "artist:b", same=True, by="eva")
    with pytest.raises(ConfigurationError, match="already leads"):
        links.decide(conn, "artist:b", "artist:a", same=True, by="eva")
    links.record(conn, [match("b", "a")])
    assert held(conn) == {"a": ("b", "active")}


def test_a_verdict_takes_back_the_proposal_that_it_answers_the_other_way_round(conn: Connection) -> None:
    links.record(conn, [match("c", "a", 0.7)])
    links.decide(conn, "artist:a", "artist:c", same=True, by="eva")
    assert held(conn) == {"a": ("c", "active")}


@pytest.mark.parametrize(("item", "canonical"), [("artist:a", "artist:a"), ("artist:a", "track:a")])
def test_a_verdict_needs_two_ids_of_one_kind(conn: Connection, item: str, canonical: str) -> None:
    with pytest.raises(ConfigurationError, match="two ids of one kind"):
        links.decide(conn, item, canonical, same=True, by="eva")


def test_the_catalogue_and_the_sources_are_matched_together(conn: Connection) -> None:
    for name in ("catalog_artists", "catalog_songs", "events_listens"):
        ensure_table(conn, silver(name))
    at = "kafka_topic_id, kafka_partition, kafka_offset, ingested_at, schema_version, load_id"
    here = "'t', 0, 0, now(), 1, 1"
    conn.execute(
        f"insert into silver.catalog_artists (item_id, name, {at})"
        f" values ('artist:beatles-1', 'Beatles', {here}), ('artist:nina', 'Nina Simone', {here})"
    )
    conn.execute(
        f"insert into silver.catalog_songs (item_id, name, artist_id, duration_ms, {at})"
        f" values ('track:help-1', 'Help!', 'artist:beatles-1', null, {here})"
    )
    conn.execute(
        "insert into source.artists (source, item_id, name, origin, fetched_at)"
        " values ('spotify', 'artist:spotify:1', 'The Beatles', 'live', now())"
    )
    conn.execute(
        "insert into source.artists (source, item_id, name, mbid, origin, fetched_at) values"
        " ('lastfm', 'artist:eunice', 'Eunice Waymon', 'mbid-1', 'live', now()),"
        " ('lastfm', 'artist:nina', 'Nina Simone', 'mbid-1', 'live', now())"
    )
    conn.execute(
        "insert into source.tracks (source, item_id, name, artist_id, mbid, origin, fetched_at) values"
        " ('lastfm', 'track:help-1', 'Help!', 'artist:beatles-1', 'mbid-2', 'live', now()),"
        " ('csv', 'track:aide', 'Aide!', 'artist:beatles-1', 'mbid-2', 'file', now())"
    )
    conn.execute(
        "insert into source.tracks (source, item_id, name, artist_id, duration_ms, origin, fetched_at) values"
        " ('spotify', 'track:spotify:1', 'Help! - Remastered 2009', 'artist:spotify:1', 139000, 'live', now()),"
        " ('spotify', 'track:spotify:2', 'Help! (Live)', 'artist:spotify:1', 139000, 'live', now())"
    )

    found = {match.item_id: match.canonical_id for match in catalogue.find(conn)}

    assert found == {
        "artist:beatles-1": "artist:spotify:1", "artist:eunice": "artist:nina",
        "track:help-1": "track:spotify:1", "track:aide": "track:spotify:1",
    }  # fmt: skip
