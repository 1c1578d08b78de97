"""One run of a source's collector of plays: whose, from where, to where."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from music_assets.identity import erased
from music_assets.sources import lastfm, listenbrainz, spotify
from music_assets.sources.books import Books, Fetch
from music_assets.sources.http import Fetcher, FetchError
from music_assets.sources.lastfm import Lastfm, LastfmListens
from music_assets.sources.listenbrainz import ListenbrainzListens
from music_assets.sources.listens import KIND, Collected, Collector, ListenSource, Sink
from music_assets.sources.spotify import Spotify
from music_assets.sources.spotify_listens import SpotifyListens
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from music_assets.settings import Settings

SOURCES: Final = (lastfm.NAME, spotify.NAME, listenbrainz.NAME)


@dataclass(frozen=True)
class Opened:
    """A source of plays and whose plays it gives."""

    source: ListenSource
    accounts: Callable[[], Sequence[str]]
    """Asks Spotify whose token it is, so it may raise FetchError."""
    owner: Callable[[str, str], str]
    """Gives the user id of a source's account."""


@contextmanager
def opened(name: str, settings: Settings, **fetching: Any) -> Iterator[Opened]:
    """Give a source; `fetching` goes to its fetcher.

    Raises:
        ConfigurationError: there is no such source, or its settings are wrong.
    """
    now, owner = datetime.now(UTC), owner_of(settings)
    if name == lastfm.NAME:
        given = lastfm.access(settings)
        with Fetcher(given.service, **fetching) as fetcher:
            source = LastfmListens(Lastfm(fetcher, given.key, given.origin), given.accounts, now)
            yield Opened(source, lambda: [account.name for account in given.accounts], owner)
    elif name == listenbrainz.NAME:
        known = listenbrainz.access(settings)
        with Fetcher(known.service, **fetching) as fetcher:
            lister = ListenbrainzListens(fetcher, known, now)
            yield Opened(lister, lambda: [account.name for account in known.accounts], owner)
    elif name == spotify.NAME:
        access = spotify.access(settings)
        with Fetcher(access.service, **fetching) as fetcher:
            client = Spotify(fetcher, access)
            yield Opened(SpotifyListens(client, access.user_id, now), lambda: [client.me()], owner)
    else:
        raise ConfigurationError(f"there is no source {name!r}; valid: {', '.join(SOURCES)}")


def collect(opened_source: Opened, books: Books, sink: Sink, now: datetime | None = None) -> Collected:
    """Bring all accounts of a source up to now; one that cannot be read keeps no other one back.

    Raises:
        UnavailableError: another run collects this source, or plays could not be sent.
    """
    source, collected = opened_source.source, Collected()
    collector = Collector(source, books, sink, collected)
    with books.alone(source.name):
        try:
            names = _accounts(opened_source, books)
        except FetchError as error:
            collected.errors.append(error)
            return collected
        for account in names:
            try:
                collector.collect(account, now or datetime.now(UTC))
            except FetchError as error:
                collected.errors.append(error)
    return collected


def backfill(
    opened_source: Opened, books: Books, sink: Sink, *, account: str, since: datetime, until: datetime
) -> Collected:
    """Read a window of an account's past again.

    Raises:
        ConfigurationError: the window is empty, or the account is not collected.
        FetchError: the source did not answer; the same call goes on where this one ended.
    """
    if since >= until:
        raise ConfigurationError(f"--since {since.isoformat()} must lie before --until {until.isoformat()}")
    names = _accounts(opened_source, books)
    if account not in names:
        raise ConfigurationError(f"there is no account {account!r}; valid: {', '.join(names) or 'none'}")
    collected = Collected()
    with books.alone(opened_source.source.name):
        Collector(opened_source.source, books, sink, collected).backfill(account, since, until)
    return collected


def _accounts(opened_source: Opened, books: Books) -> Sequence[str]:
    """Return the accounts of who was not erased; to fail at it is a look that is on record, to succeed is none."""
    fetcher, origin, began = opened_source.source.fetcher, opened_source.source.origin, datetime.now(UTC)
    try:
        names = opened_source.accounts()
    except FetchError as error:
        failed = Fetch(fetcher.service.name, KIND, None, origin, error.outcome, note=str(error))
        failed.requests, failed.retries = fetcher.requests, fetcher.retries
        books.write(failed, began)
        raise
    owners = {name: opened_source.owner(fetcher.service.name, name) for name in names}
    gone = erased(books.conn, list(owners.values()))
    return [name for name in names if owners[name] not in gone]


def owner_of(settings: Settings) -> Callable[[str, str], str]:
    """Return what gives the user id of a source's account under these settings."""
    known = {
        (source, account.name): account.user_id
        for source, accounts in (
            (lastfm.NAME, lastfm.access(settings).accounts),
            (listenbrainz.NAME, listenbrainz.access(settings).accounts),
        )
        for account in accounts
    }

    def owner(source: str, account: str) -> str:
        if source == spotify.NAME and settings.spotify_user:
            return settings.spotify_user
        return known.get((source, account), f"{source}:{account}")

    return owner
