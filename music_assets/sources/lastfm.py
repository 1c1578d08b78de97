"""Last.fm: scrobbles of accounts, and facts about artists and tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from music_assets.sources import items
from music_assets.sources.accounts import Account, accounts
from music_assets.sources.answers import lastfm as answers
from music_assets.sources.facts import ArtistRow, Fact, Origin, SimilarArtistRow, TagRow, TrackRow
from music_assets.sources.http import Fetcher, Service
from music_assets.sources.listens import Page
from music_assets.sources.plays import Play
from music_assets.sources.recorded import ACCOUNT, RecordedTransport
from streaming.events import ItemKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from music_assets.settings import Settings

T = TypeVar("T")

NAME: Final = "lastfm"
_PAGE: Final = 200
_PER_SECOND: Final = 4.0
"""Below the five requests a second that Last.fm names."""
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class Access:
    """A key and whose scrobbles to read; without a key, the recorded ones."""

    service: Service
    key: str
    origin: Origin
    accounts: tuple[Account, ...]


def access(settings: Settings) -> Access:
    """Return how Last.fm is talked to under these settings."""
    if settings.lastfm_api_key is None:
        service = Service(NAME, settings.lastfm_url, 1000, 1000, answers.judge, transport=RecordedTransport(NAME))
        return Access(service, "none", Origin.RECORDED, (Account(ACCOUNT, f"{NAME}:{ACCOUNT}"),))
    key = settings.lastfm_api_key.get_secret_value()
    service = Service(NAME, settings.lastfm_url, _PER_SECOND, 4, answers.judge, secrets=(key,))
    return Access(service, key, Origin.LIVE, accounts(NAME, "LASTFM_USERS", settings.lastfm_users))


class Lastfm:
    """Last.fm's methods, typed.

    Args:
        fetcher: asks.
        key: API key.
        origin: of what it gives.
    """

    def __init__(self, fetcher: Fetcher, key: str, origin: Origin) -> None:
        self.fetcher = fetcher
        self.origin = origin
        self._key = key

    def call(self, method: str, parse: Callable[[bytes], T], **params: str | int) -> T:
        """Return the parsed answer to a method. Raises FetchError."""
        given: dict[str, str | int] = {"method": method, "api_key": self._key, "format": "json", **params}
        return self.fetcher.get("/", parse, params=given)

    def top_artists(self, account: str, limit: int) -> list[str]:
        """Return names of the artists an account plays most. Raises FetchError."""
        found = self.call("user.gettopartists", answers.top_artists, user=account, limit=limit)
        return [artist.name for artist in found.items]

    def artist(self, name: str, now: datetime) -> list[Fact]:
        """Return what Last.fm knows about an artist: figures, tags, similar ones. Raises FetchError."""
        item_id = items.named(ItemKind.ARTIST, name)
        info = self.call("artist.getinfo", answers.artist_info, artist=name)
        tags = self.call("artist.gettoptags", answers.artist_tags, artist=name)
        similar = self.call("artist.getsimilar", answers.similar_artists, artist=name, limit=50)
        facts: list[Fact] = [
            ArtistRow(
                NAME, item_id, info.name, self.origin, now,
                mbid=info.mbid, listeners=info.listeners, playcount=info.playcount,
            )
        ]  # fmt: skip
        facts += [TagRow(NAME, item_id, tag.name, tag.weight, now) for tag in tags.items if tag.name]
        others = [(items.named(ItemKind.ARTIST, other.name), other.similarity or 0.0) for other in similar.items]
        facts += [SimilarArtistRow(NAME, item_id, other, score, now) for other, score in others if other != item_id]
        return facts

    def track(self, artist: str, title: str, now: datetime) -> list[Fact]:
        """Return what Last.fm knows about a track. Raises FetchError."""
        info = self.call("track.getinfo", answers.track_info, artist=artist, track=title)
        album = None if info.album is None else items.named(ItemKind.ALBUM, artist, info.album)
        return [
            TrackRow(
                NAME, items.named(ItemKind.TRACK, artist, title), info.name, self.origin, now,
                artist_id=items.named(ItemKind.ARTIST, artist), artist_name=info.artist, album_id=album,
                duration_ms=info.duration_ms, listeners=info.listeners, playcount=info.playcount, mbid=info.mbid,
            )
        ]  # fmt: skip


class LastfmListens:
    """Scrobbles as plays: a source for `music_assets.sources.listens.Collector`."""

    name: str = NAME
    step_ms: int = 1000
    lookback_ms: int = _DAY_MS

    def __init__(self, lastfm: Lastfm, known: tuple[Account, ...], now: datetime) -> None:
        self.fetcher = lastfm.fetcher
        self.origin: str = lastfm.origin
        self._lastfm = lastfm
        self._user_ids = {account.name: account.user_id for account in known}
        self._now = now

    def page(self, account: str, *, since_ms: int, before_ms: int) -> Page:
        """Return a page that ends at a time, whether Last.fm counts the bounds in or not. Raises FetchError."""
        found: Any = self._lastfm.call(
            "user.getrecenttracks", answers.recent_tracks, user=account, limit=_PAGE, page=1,
            **{"from": max(0, since_ms // 1000 - 1), "to": -(-before_ms // 1000)},
        )  # fmt: skip
        scrobbles = [each for each in found.items if each.played_at is not None]
        plays = [self._play(each, account) for each in scrobbles]
        inside = [play for play in plays if since_ms <= play.played_at.timestamp() * 1000 < before_ms]
        return Page(inside, more=bool(inside) and (found.pages or 0) > 1, names=self._names(scrobbles))

    def _play(self, scrobble: answers.Scrobble, account: str) -> Play:
        assert scrobble.played_at is not None
        return Play(
            user_id=self._user_ids.get(account, f"{NAME}:{account}"), played_at=scrobble.played_at,
            artist=scrobble.artist, title=scrobble.title, album=scrobble.album, mbid=scrobble.mbid, source=NAME,
            context=None if self.origin == Origin.LIVE else self.origin,
        )  # fmt: skip

    def _names(self, scrobbles: list[answers.Scrobble]) -> list[Fact]:
        facts: list[Fact] = []
        for each in scrobbles:
            artist_id = items.named(ItemKind.ARTIST, each.artist)
            facts.append(ArtistRow(NAME, artist_id, each.artist, self.origin, self._now, mbid=each.artist_mbid))
            facts.append(
                TrackRow(
                    NAME, items.named(ItemKind.TRACK, each.artist, each.title), each.title, self.origin, self._now,
                    artist_id=artist_id, artist_name=each.artist, mbid=each.mbid,
                    album_id=items.named(ItemKind.ALBUM, each.artist, each.album) if each.album else None,
                )
            )  # fmt: skip
        return facts
