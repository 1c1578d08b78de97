"""Interactions: read from a real PostgreSQL, the same from the same listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from music_assets.recommender.contexts import CONTEXTS, ITEMS, read_contexts
from music_assets.recommender.interactions import Interactions, read_listens, read_names
from streaming.errors import UnavailableError
from tests.recommender.marts import create_marts
from tests.recommender.worlds import START, listens, tastes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AWKWARD = ['track:a,b "c"', "track:line\nbreak", "artist:NA", "track:ünï", "track:\\N", "track:''"]


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url) as opened:
        create_marts(opened)
        yield opened
        opened.rollback()


def test_ids_of_any_form_come_through(connection: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into marts.fct_listens values (%s, %s, to_timestamp(%s))",
            [("me", item, 1_700_000_000.25 + place) for place, item in enumerate(AWKWARD)],
        )
    read = Interactions.collect(read_listens(connection))
    assert read.items == tuple(sorted(AWKWARD))
    assert read.users == ("me",)
    by_item = dict(zip((read.items[item] for item in read.item), read.time.tolist(), strict=True))
    assert by_item == {item: START + 250_000 + place * 1_000_000 for place, item in enumerate(AWKWARD)}


def test_many_listens_come_in_batches_and_complete(connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into marts.fct_listens select 'u' || n % 977, 'track:' || n % 3001, to_timestamp(1700000000 + n)"
        " from generate_series(1, 200000) as n"
    )
    batches = list(read_listens(connection))
    assert len(batches) > 1
    read = Interactions.collect(batches)
    assert len(read) == 200_000
    assert (len(read.users), len(read.items)) == (977, 3001)
    order = np.argsort(read.time)
    assert [read.users[user] for user in read.user[order][:3]] == ["u1", "u2", "u3"]
    assert read.counts.sum() == 200_000


def test_no_listens_are_no_error_here(connection: psycopg.Connection) -> None:
    assert len(Interactions.collect(read_listens(connection))) == 0


def test_names_of_every_kind(connection: psycopg.Connection) -> None:
    connection.execute("insert into marts.dim_artist values ('artist:1', 'One'), ('artist:2', null)")
    connection.execute("insert into marts.dim_album values ('album:1', 'First')")
    connection.execute("insert into marts.dim_track values ('track:1', 'Song')")
    assert read_names(connection) == {"artist:1": "One", "album:1": "First", "track:1": "Song"}


def heard(connection: psycopg.Connection, who: str, item: str, context: str | None, *, day: int = 0) -> None:
    connection.execute(
        "insert into marts.fct_listens values (%s, %s, to_timestamp(%s), %s)",
        [who, item, 1_700_000_000 - 86_400 * day, context],
    )


def test_contexts_hold_what_most_listeners_hear_there(connection: psycopg.Connection) -> None:
    for who in "abc":
        heard(connection, who, "track:2", "radio")
    for _ in range(9):
        heard(connection, "a", "track:1", "radio")
    heard(connection, "a", "track:3", None)
    heard(connection, "a", "track:4", "radio", day=27)
    heard(connection, "b", "track:5", "radio", day=29)
    assert read_contexts(connection) == {"radio": ("track:2", "track:1", "track:4")}


def test_a_context_of_one_or_two_is_none(connection: psycopg.Connection) -> None:
    """A client may write there what names its user."""
    for who in ("a", "a", "b"):
        heard(connection, who, "track:1", "at Anna's")
    assert read_contexts(connection) == {}
    heard(connection, "c", "track:1", "at Anna's")
    assert list(read_contexts(connection)) == ["at Anna's"]


def test_contexts_without_bound_are_bounded(connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into marts.fct_listens select 'u' || n %% 3, 'track:' || n, to_timestamp(1700000000), 'c' || n %% %s"
        " from generate_series(1, 6000) as n",
        [CONTEXTS + 50],
    )
    connection.execute(
        "insert into marts.fct_listens select 'u' || n % 7, 'track:' || n, to_timestamp(1700000000), 'c0'"
        " from generate_series(1, 3000) as n"
    )
    found = read_contexts(connection)
    assert len(found) == CONTEXTS
    assert len(found["c0"]) == ITEMS


def test_timestamps_and_microseconds_mean_the_same() -> None:
    times = [START, START + 1]
    for column in (pa.array(times), pa.array(times, pa.timestamp("us", tz="UTC"))):
        batch = pa.record_batch(
            {"user_id": pa.array(["a", "b"]), "item_id": pa.array(["x", "x"]), "listened_at": column}
        )
        assert Interactions.collect([batch]).time.tolist() == times


def test_the_order_of_the_rows_changes_no_count() -> None:
    rows = [("b", "y", 1), ("a", "x", 2), ("a", "x", 3)]
    one, other = listens(rows), listens(rows[::-1])
    assert (one.users, one.items) == (other.users, other.items) == (("a", "b"), ("x", "y"))
    assert one.counts.toarray().tolist() == other.counts.toarray().tolist() == [[2, 0], [0, 1]]
    assert one.listeners.tolist() == [1, 1]


def test_saved_is_opened_again(tmp_path: Path) -> None:
    world = tastes(listeners=5)
    world.save(tmp_path)
    again = Interactions.open(tmp_path)
    assert (again.users, again.items) == (world.users, world.items)
    for name in ("user", "item", "time"):
        np.testing.assert_array_equal(getattr(again, name), getattr(world, name))


def test_nothing_saved_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="materialise recommender/interactions first"):
        Interactions.open(tmp_path)
