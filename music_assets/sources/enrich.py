"""One run of the collectors of facts: Last.fm's artists and tracks, Spotify's library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from music_assets.identity import erased
from music_assets.sources import fallback, lastfm, spotify
from music_assets.sources.facts import ArtistRow, Fact, Origin, land, records
from music_assets.sources.fallback import LASTFM_FIRST, SPOTIFY_FIRST, Ask, Provider, Resolver, Subject
from music_assets.sources.http import Fetcher, FetchError
from music_assets.sources.lastfm import Lastfm
from music_assets.sources.spotify import Spotify

if TYPE_CHECKING:
    from music_assets.settings import Settings
    from music_assets.sources.answers.spotify import Track
    from music_assets.sources.books import Books, Fetch
    from streaming.events import CatalogRecord

_MOST: Final = {"artists": 200, "tracks": 300}
"""Subjects a run: at four requests a second it takes minutes, and the next run goes on."""
_PART: Final = 20
_TOP: Final = 200
_FRESH: Final = timedelta(days=30)
"""How long a fact about an artist holds, and how long an unknown name is not asked for again."""

Publish = Callable[[Sequence["CatalogRecord"]], object]
"""Puts records on the catalogue's topics and returns once the broker has them."""


@dataclass
class Gathered:
    """What a run brought.

    Attributes:
        origin: of the source in this run.
        rows: merged, by table.
        providers: subjects by who told about them.
        notes: what was withdrawn, refused or unknown.
        errors: what kept the run from its end.
        sample: the first rows, for people.
    """

    origin: str
    rows: dict[str, int] = field(default_factory=dict)
    providers: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    errors: list[FetchError] = field(default_factory=list)
    sample: list[Fact] = field(default_factory=list)


class Asked(msgspec.Struct):
    """Names that Last.fm does not know, with the day they were asked for."""

    unknown: dict[str, datetime] = {}


class Gatherer:
    """Lands facts part by part, and publishes their items.

    Args:
        books: where facts go.
        publish: where their items' records go.
        gathered: counts of the run.
    """

    def __init__(self, books: Books, publish: Publish, gathered: Gathered) -> None:
        self._books = books
        self._publish = publish
        self.gathered = gathered

    def keep(self, facts: Sequence[Fact], fetch: Fetch) -> None:
        """Merge facts into their tables, then publish the items."""
        for table, count in land(self._books.conn, facts).items():
            self.gathered.rows[table] = self.gathered.rows.get(table, 0) + count
            fetch.items += count
        self.gathered.sample += [fact for fact in facts if isinstance(fact, ArtistRow)][
            : max(0, 10 - len(self.gathered.sample))
        ]
        unique = {record.item_id: record for record in records(facts)}
        if unique:
            self._publish(list(unique.values()))

    def resolve(self, subjects: Iterable[Subject], resolver: Resolver, fetch: Fetch) -> None:
        """Find facts about subjects, whoever has some, and keep them part by part."""
        part: list[Fact] = []
        for number, subject in enumerate(subjects, start=1):
            part += resolver.facts(subject)
            if number % _PART == 0:
                self.keep(part, fetch)
                part = []
        self.keep(part, fetch)
        for provider, count in resolver.answered.items():
            self.gathered.providers[provider] = self.gathered.providers.get(provider, 0) + count
        for provider, error in resolver.down.items():
            fetch.remark(f"{provider} was away: {error}")
            self.gathered.notes.append(f"{provider}: {error.outcome}")
            self.gathered.errors.append(error)
        if resolver.unknown:
            fetch.remark(f"{len(resolver.unknown)} names are unknown")


def lastfm_facts(settings: Settings, books: Books, publish: Publish, **fetching: Any) -> Gathered:
    """Ask Last.fm for the artists its accounts play most and for what its plays named; others stand in for it."""
    given, now = lastfm.access(settings), datetime.now(UTC)
    gatherer = Gatherer(books, publish, Gathered(given.origin))
    asked = books.cursor(lastfm.NAME, "facts", Asked) or Asked()
    asked.unknown = {item: day for item, day in asked.unknown.items() if now - day < _FRESH}
    with ExitStack() as stack:
        client = Lastfm(stack.enter_context(Fetcher(given.service, **fetching)), given.key, given.origin)
        other = _other_spotify(settings, given.origin, stack, fetching)
        kinds = {"artists": _artists_wanted(client, given, books, gatherer), "tracks": _tracks_wanted(books)}
        for kind, names in kinds.items():
            subjects = [name for name in names if name.item_id not in asked.unknown][: _MOST[kind]]
            asks: dict[Provider, Ask] = {Provider.LASTFM: lambda subject: _ask_lastfm(client, subject, now)}
            asks |= _stand_ins(books, now) | ({Provider.SPOTIFY: _ask_spotify(other, now)} if other else {})
            resolver = Resolver(LASTFM_FIRST, asks)
            with books.fetch(client.fetcher, kind, account=None, origin=given.origin) as fetch:
                gatherer.resolve(subjects, resolver, fetch)
                if (down := resolver.down.get(Provider.LASTFM)) is not None:
                    fetch.outcome = down.outcome
                else:
                    asked.unknown |= {subject.item_id: now for subject in resolver.unknown}
            books.save(lastfm.NAME, "facts", asked)
    _drop_stale_tags(books, now)
    return gatherer.gathered


def spotify_facts(settings: Settings, books: Books, publish: Publish, **fetching: Any) -> Gathered:
    """Read the library of the account, the artists in it, and how its tracks sound where Spotify still tells."""
    given, now = spotify.access(settings), datetime.now(UTC)
    gatherer = Gatherer(books, publish, Gathered(given.origin))
    with Fetcher(given.service, **fetching) as fetcher:
        client = Spotify(fetcher, given)
        try:
            tracks = _library(client, books, gatherer, now)
        except FetchError as error:
            gatherer.gathered.errors.append(error)
            return gatherer.gathered
        try:
            _artists(client, tracks, books, gatherer, now)
        except FetchError as error:
            gatherer.gathered.errors.append(error)
            _artists_elsewhere(settings, tracks, books, gatherer, error, **fetching)
        _audio_features(client, tracks, books, gatherer, now)
    return gatherer.gathered


def _artists_wanted(client: Lastfm, given: lastfm.Access, books: Books, gatherer: Gatherer) -> list[Subject]:
    names: dict[str, None] = {}
    gone = erased(books.conn, [account.user_id for account in given.accounts])
    for account in given.accounts:
        if account.user_id in gone:
            continue
        try:
            with books.fetch(client.fetcher, "top_artists", account=account.name, origin=given.origin) as fetch:
                top = client.top_artists(account.name, _TOP)
                fetch.items = len(top)
        except FetchError as error:
            gatherer.gathered.errors.append(error)
            continue
        names |= dict.fromkeys(top)
    rows = books.conn.execute(
        "select name, item_id, listeners is not null and fetched_at >= now() - %s from source.artists where source = %s"
        " order by fetched_at",
        [_FRESH, lastfm.NAME],
    ).fetchall()
    fresh = {item_id for _, item_id, known in rows if known}
    names |= dict.fromkeys(name for name, _, known in rows if not known)
    return [subject for subject in map(Subject, names) if subject.item_id not in fresh]


def _tracks_wanted(books: Books) -> list[Subject]:
    rows = books.conn.execute(
        "select artist_name, name from source.tracks"
        " where source = %s and listeners is null and artist_name is not null order by fetched_at desc",
        [lastfm.NAME],
    ).fetchall()
    return [Subject(artist, title) for artist, title in rows]


def _ask_lastfm(client: Lastfm, subject: Subject, now: datetime) -> list[Fact]:
    if subject.title is None:
        return client.artist(subject.artist, now)
    return client.track(subject.artist, subject.title, now)


def _ask_spotify(client: Spotify, now: datetime) -> Ask:
    def ask(subject: Subject) -> list[Fact]:
        if subject.title is None:
            artist = client.find_artist(subject.artist)
            return [] if artist is None else spotify.artist_facts(artist, client.origin, now)
        track = client.find_track(subject.artist, subject.title)
        return [] if track is None else spotify.track_facts(track, client.origin, now)

    return ask


def _stand_ins(books: Books, now: datetime) -> dict[Provider, Ask]:
    return {Provider.CACHED: fallback.cached(books.conn), Provider.SYNTHETIC: fallback.synthetic(now)}


def _other_spotify(settings: Settings, origin: Origin, stack: ExitStack, fetching: dict[str, Any]) -> Spotify | None:
    """Return Spotify as a stand-in: only if both are live, for a recorded world says nothing about a real artist."""
    access = spotify.access(settings)
    if origin is not Origin.LIVE or access.origin is not Origin.LIVE:
        return None
    return Spotify(stack.enter_context(Fetcher(access.service, **fetching)), access)


def _library(client: Spotify, books: Books, gatherer: Gatherer, now: datetime) -> list[Track]:
    with books.fetch(client.fetcher, "library", account=None, origin=client.origin) as fetch:
        client.remark = fetch.remark
        tracks, facts = client.saved_tracks(), list[Fact]()
        for track in tracks:
            facts += spotify.track_facts(track, client.origin, now)
        for album in client.saved_albums():
            if album.artists:
                facts.append(spotify.album_fact(album, album.artists[0].name, client.origin, now))
        gatherer.keep(facts, fetch)
    return tracks


def _artists(client: Spotify, tracks: Sequence[Track], books: Books, gatherer: Gatherer, now: datetime) -> None:
    ids = list(dict.fromkeys(artist.id for track in tracks for artist in track.artists if artist.id))
    with books.fetch(client.fetcher, "artists", account=None, origin=client.origin) as fetch:
        client.remark = fetch.remark
        facts: list[Fact] = []
        for artist in client.artists(ids):
            facts += spotify.artist_facts(artist, client.origin, now)
        gatherer.keep(facts, fetch)
        gatherer.gathered.providers[Provider.SPOTIFY] = len(facts)
        gatherer.gathered.notes += [fetch.note] if fetch.note else []


def _artists_elsewhere(
    settings: Settings, tracks: Sequence[Track], books: Books, gatherer: Gatherer, why: FetchError, **fetching: Any
) -> None:
    """Ask Last.fm, and then who else has something, for the artists that Spotify did not tell about."""
    given, now = lastfm.access(settings), datetime.now(UTC)
    names = list(dict.fromkeys(artist.name for track in tracks for artist in track.artists))[: _MOST["artists"]]
    with Fetcher(given.service, **fetching) as fetcher:
        client = Lastfm(fetcher, given.key, given.origin)
        asks = {Provider.SPOTIFY: lambda _: list[Fact]()} | _stand_ins(books, now)
        if given.origin is Origin.LIVE:
            asks[Provider.LASTFM] = lambda subject: _ask_lastfm(client, subject, now)
        resolver = Resolver(SPOTIFY_FIRST, asks)
        resolver.down[Provider.SPOTIFY] = why
        with books.fetch(fetcher, "artists", account=None, origin=given.origin) as fetch:
            gatherer.resolve([Subject(name) for name in names], resolver, fetch)


def _audio_features(client: Spotify, tracks: Sequence[Track], books: Books, gatherer: Gatherer, now: datetime) -> None:
    held = {row[0] for row in books.conn.execute("select item_id from source.audio_features where source = 'spotify'")}
    ids = [track.id for track in tracks if track.id and f"track:spotify:{track.id}" not in held]
    try:
        with books.fetch(client.fetcher, "audio_features", account=None, origin=client.origin) as fetch:
            client.remark = fetch.remark
            found = client.audio_features(ids)
            gatherer.keep([spotify.audio_features_fact(each, client.origin, now) for each in found], fetch)
            gatherer.gathered.notes += [fetch.note] if fetch.note else []
    except FetchError as error:
        gatherer.gathered.errors.append(error)


def _drop_stale_tags(books: Books, now: datetime) -> None:
    """Drop the tags and likenesses that the newest answer about an artist no longer has."""
    for table, item in (("tags", "item_id"), ("similar_artists", "artist_id")):
        books.conn.execute(
            f"delete from source.{table} as old using source.{table} as new where old.source = %s"
            f" and new.source = old.source and new.{item} = old.{item} and new.fetched_at = %s and old.fetched_at < %s",
            [lastfm.NAME, now, now],
        )
