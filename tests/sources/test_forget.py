"""An erased person's accounts: nothing tells that they were collected, and they are not collected any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from music_assets import erasures
from music_assets.identity import ensure_listeners
from music_assets.sources import forget, lastfm
from music_assets.sources.books import Books
from music_assets.sources.collect import backfill, collect, opened, owner_of
from music_assets.sources.listens import OF_BACKFILL, Cursor
from streaming.errors import ConfigurationError, UnavailableError
from tests.sources.test_collectors import NOW, Topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from music_assets.settings import Settings
    from tests.conftest import MakeSettings


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    """Without keys: recorded answers of an account of each source."""
    return make_settings()


@pytest.fixture
def account(settings: Settings) -> str:
    [found] = lastfm.access(settings).accounts
    return found.name


@pytest.fixture
def books(database_url: str, settings: Settings, account: str) -> Iterator[Books]:
    """Two sources were collected; then the owner of one account was erased, and comes back at the end."""
    owner = owner_of(settings)("lastfm", account)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("truncate source.cursors, source.fetches")
        books = Books(connection)
        for source in ("lastfm", "listenbrainz"):
            with opened(source, settings) as found:
                assert collect(found, books, Topic(), NOW).sent
        books.save("lastfm", f"{account}{OF_BACKFILL}20260101T000000-20260102T000000", Cursor())
        ensure_listeners(connection, [owner])
        connection.execute(erasures.REQUEST, {"user_id": owner})
        yield books
        erasures.readmit(connection, owner)
        connection.execute("delete from identity.erasures")


def known(books: Books) -> set[tuple[Any, ...]]:
    return set(
        books.conn.execute(
            "select source, 'cursor' from source.cursors union all select source, 'look' from source.fetches"
        ).fetchall()
    )


def test_an_erasure_clears_cursors_and_looks_of_the_person_alone(
    books: Books, settings: Settings, database_url: str
) -> None:
    others = {(source, what) for source, what in known(books) if source == "listenbrainz"}
    with psycopg.connect(database_url) as connection:
        assert forget.forget_accounts(settings, connection) == 1
        assert forget.forget_accounts(settings, connection) == 0
    assert known(books) == others
    assert others


def test_nobody_asks_for_an_erased_person_until_they_come_back(
    books: Books, settings: Settings, account: str, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        forget.forget_accounts(settings, connection)
        before = known(books)
        with opened("lastfm", settings) as found:
            assert collect(found, books, Topic(), NOW).sent == 0
            with pytest.raises(ConfigurationError, match="there is no account"):
                backfill(found, books, Topic(), account=account, since=NOW.replace(day=1, hour=0), until=NOW)
            assert known(books) == before
            assert found.source.fetcher.requests == 0
            erasures.readmit(connection, owner_of(settings)("lastfm", account))
            assert collect(found, books, Topic(), NOW).sent > 0


def test_a_run_of_the_collector_is_waited_for(
    books: Books, settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "_PATIENCE", "100ms")
    before = known(books)
    with psycopg.connect(database_url) as connection, books.alone("lastfm"):
        with pytest.raises(UnavailableError, match="lastfm is being collected"):
            forget.forget_accounts(settings, connection)
        assert known(books) == before
