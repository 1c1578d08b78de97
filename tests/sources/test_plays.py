"""Plays become the messages that the API would send, under listener ids, and only what the contract takes is sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from music_assets.sources.plays import Play, PlaySender, listen, records, refusal
from music_assets.stack.process import free_port
from serving.events.edge import Refusal, read
from streaming.errors import ContractError, TimeoutExpiredError, UnavailableError
from streaming.events import derive_event_id
from streaming.outgoing import address
from streaming.parse import Rejection, parse
from streaming.producer import EventProducer
from tests.serving.conftest import messages

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def play(**overrides: Any) -> Play:
    values = {
        "user_id": "person@example.org", "played_at": datetime(2025, 6, 1, 10, tzinfo=UTC), "artist": "Röyksopp",
        "title": "Eple", "source": "test", "album": "Melody A.M.", "ms_played": 1500,
    }  # fmt: skip
    return Play(**(values | overrides))


@pytest.fixture
def producer(broker: str) -> Iterator[EventProducer]:
    with closing(EventProducer(broker, client_id="test")) as found:
        yield found


def test_a_play_has_the_form_of_the_same_event_through_the_api() -> None:
    given = play(played_at=datetime(2025, 6, 1, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=2))))
    body = {
        "user_id": "u", "event_type": "listen", "item_id": given.item_id, "ms_played": 1500, "source": "test",
        "timestamp": "2025-06-01T12:00:00.250+02:00",
    }  # fmt: skip
    event = read(json.dumps(body).encode(), NOW)
    assert not isinstance(event, Refusal)
    assert listen(given, "listener") == address(event, "listener")


def test_the_message_can_be_read_and_is_identified_by_listener_item_and_time() -> None:
    row = parse("events_listens", listen(play(), "listener").value, now=NOW)
    assert not isinstance(row, Rejection)
    assert row["event_id"] == derive_event_id("listener", "listen", play().item_id, play().played_at)
    assert listen(play(ms_played=9), "listener").event_id == row["event_id"]
    assert listen(play(), "other").event_id != row["event_id"]


def test_spotifys_id_is_the_item_and_names_are_it_otherwise() -> None:
    assert play(spotify_id="3aJ2aJz5xL03hpaqdPS7Ah").item_id == "track:spotify:3aJ2aJz5xL03hpaqdPS7Ah"
    assert play(artist="ROYKSOPP").item_id == play().item_id
    assert play(artist="ROYKSOPP").item_id.startswith("track:royksopp-eple-")


def test_records_of_a_play_without_an_album_name_no_album() -> None:
    assert [type(record).__name__ for record in records(play(album=None))] == ["ArtistRecord", "SongRecord"]
    artist, album, song = records(play(duration_ms=200_000))
    assert song.model_dump(include={"artist_id", "album_id", "duration_ms"}) == {
        "artist_id": artist.item_id, "album_id": album.item_id, "duration_ms": 200_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("artist", ""), ("artist", " \u2003"), ("title", "x" * 513), ("title", "a\x00b"), ("title", "\ud800"),
        ("album", ""), ("album", "\n"), ("user_id", "x" * 129), ("user_id", ""), ("ms_played", -1),
        ("ms_played", 86_400_001), ("duration_ms", -1), ("spotify_id", "short"),
        ("spotify_id", "3aJ2aJz5xL03hpaqdPS7A!"),
        ("context", "x" * 513), ("played_at", datetime(1969, 12, 31, tzinfo=UTC)),
        ("played_at", NOW + timedelta(minutes=6)), ("played_at", datetime(2025, 1, 1)),  # noqa: DTZ001
        ("played_at", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
    ],
)  # fmt: skip
def test_what_the_contract_does_not_take_is_refused_by_field(field: str, value: Any) -> None:
    refused = refusal(play(**{field: value}), NOW)
    assert refused is not None
    assert refused.field == field
    assert refused.reason


def test_what_is_not_refused_the_parser_takes() -> None:
    given = play(artist="x" * 512, title="é" * 512, album=None, ms_played=86_400_000, user_id="u" * 128)
    assert refusal(given, NOW) is None
    assert not isinstance(parse("events_listens", listen(given, "listener").value, now=NOW), Rejection)


def test_plays_go_out_under_listener_ids_and_each_item_once(
    producer: EventProducer, broker: str, database_url: str
) -> None:
    artist, people = f"Artist {uuid4().hex}", ["first@example.org", "second@example.org"]
    base = play(artist=artist)
    plays = [
        replace(base, user_id=people[n % 2], played_at=base.played_at + timedelta(minutes=n), title=f"T{n % 3}")
        for n in range(30)
    ]
    sender = PlaySender(producer, database_url)
    assert (sender.send(plays[:20]), sender.send(plays[20:]), sender.send([])) == (20, 10, 0)
    ids = {item.item_id for each in plays for item in records(each)}
    on_topics = Counter(
        record["item_id"]
        for topic in ("catalog_artists", "catalog_albums", "catalog_songs")
        for _, record in messages(broker, topic)
        if record.get("item_id") in ids
    )
    assert on_topics == dict.fromkeys(ids, 1)
    with psycopg.connect(database_url) as connection:
        known = dict(connection.execute("select user_id, listener_id::text from identity.listener").fetchall())
    assert known.keys() >= set(people)
    sent = [found for found in messages(broker, "events_listens") if found[1].get("item_id") in ids]
    assert len(sent) == 30
    assert {key for key, _ in sent} == {known[person] for person in people}
    assert all(key == value["user_id"] for key, value in sent)
    assert "example.org" not in str(sent)


def test_the_same_plays_again_are_the_same_events(producer: EventProducer, broker: str, database_url: str) -> None:
    plays = [play(artist=f"Artist {uuid4().hex}")]
    for _ in range(2):
        PlaySender(producer, database_url).send(plays)
    sent = [value for _, value in messages(broker, "events_listens") if value.get("item_id") == plays[0].item_id]
    assert len(sent) == 2
    assert sent[0] == sent[1]


def test_one_play_that_is_not_valid_keeps_all_from_going(
    producer: EventProducer, broker: str, database_url: str
) -> None:
    good = play(artist=f"Artist {uuid4().hex}")
    with pytest.raises(ContractError, match="play 1: artist must not be blank"):
        PlaySender(producer, database_url).send([good, replace(good, artist=" ")])
    assert good.item_id not in str(messages(broker, "events_listens"))


def test_what_the_broker_did_not_acknowledge_is_named(database_url: str) -> None:
    nowhere = EventProducer(f"127.0.0.1:{free_port()}", client_id="test", delivery_timeout_ms=500)
    with closing(nowhere), pytest.raises(TimeoutExpiredError, match="1 of events_listens"):
        PlaySender(nowhere, database_url, patience_seconds=0.1).send([play()])


def test_without_postgresql_nothing_is_sent(producer: EventProducer, broker: str) -> None:
    given = play(artist=f"Artist {uuid4().hex}")
    with pytest.raises(UnavailableError, match="PostgreSQL does not answer"):
        PlaySender(producer, f"postgresql://music@127.0.0.1:{free_port()}/music").send([given])
    assert given.item_id not in str(messages(broker, "events_listens"))
