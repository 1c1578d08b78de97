"""Spotify: an account's last plays and library, and facts about tracks, albums and artists.

Spotify keeps the last 50 plays only, so they are polled. Applications in development mode may not ask for several
items at once since 2026, new applications not for audio features since November 2024: a 403 or 404 there is a note
and no error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import httpx

from music_assets.sources import items
from music_assets.sources.answers import spotify as answers
from music_assets.sources.facts import (
    AlbumRow,
    ArtistRow,
    AudioFeaturesRow,
    Fact,
    Origin,
    TagRow,
    TrackArtistRow,
    TrackRow,
)
from music_assets.sources.http import Fetcher, FetchError, Service
from music_assets.sources.recorded import RecordedTransport
from streaming.errors import ConfigurationError
from streaming.events import ItemKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from music_assets.settings import Settings

T = TypeVar("T")
S = TypeVar("S")

NAME: Final = "spotify"
_PER_SECOND: Final = 3.0
"""Spotify names no figure; a window of 30 s with some hundred requests is what people report."""
_SPARE_SECONDS: Final = 60
_LIBRARY_PAGE: Final = 50
_WALKS: Final = 3
_SINGLY: Final = 50
"""Items asked for one by one in a run, where several at once are refused."""
_WITHDRAWN: Final = frozenset({403, 404, 410})


@dataclass(frozen=True)
class Access:
    """An application and the account that let it in; without them, recorded answers."""

    service: Service
    accounts_url: str
    credentials: tuple[str, str, str] | None
    origin: Origin
    user_id: str | None


def access(settings: Settings) -> Access:
    """Return how Spotify is talked to under these settings.

    Raises:
        ConfigurationError: only some of the three values are set.
    """
    secret, refresh = settings.spotify_client_secret, settings.spotify_refresh_token
    user_id = settings.spotify_user or None
    if settings.spotify_client_id is None and secret is None and refresh is None:
        service = Service(NAME, settings.spotify_url, 1000, 1000, answers.judge, transport=RecordedTransport(NAME))
        return Access(service, settings.spotify_accounts_url, None, Origin.RECORDED, user_id)
    if settings.spotify_client_id is None or secret is None or refresh is None:
        raise ConfigurationError("SPOTIFY_CLIENT_ID, SPOTIFY_CLIENT_SECRET, SPOTIFY_REFRESH_TOKEN: set all or none")
    credentials = settings.spotify_client_id, secret.get_secret_value(), refresh.get_secret_value()
    service = Service(NAME, settings.spotify_url, _PER_SECOND, 10, answers.judge, secrets=credentials[1:])
    return Access(service, settings.spotify_accounts_url, credentials, Origin.LIVE, user_id)


class Spotify:
    """Spotify's Web API, typed, with a token that is made anew when it grows old.

    Args:
        fetcher: asks.
        given: application and account.
        remark: told what is withdrawn or refused, for the record.
    """

    def __init__(self, fetcher: Fetcher, given: Access, remark: Callable[[str], None] = lambda _: None) -> None:
        self.fetcher = fetcher
        self.origin = given.origin
        self.remark = remark
        self._given = given
        self._token = ""
        self._token_ends = 0.0

    def get(self, path: str, parse: Callable[[bytes], T], **params: str | int) -> T:
        """Return the parsed answer; a token that Spotify no longer takes is made anew once. Raises FetchError."""
        try:
            return self.fetcher.get(path, parse, params=params, headers=self._headers())
        except FetchError as error:
            if error.status != httpx.codes.UNAUTHORIZED or self._given.credentials is None:
                raise
        self._token_ends = 0
        return self.fetcher.get(path, parse, params=params, headers=self._headers())

    def me(self) -> str:
        """Return the account's id. Raises FetchError."""
        return self.get("/me", partial(answers.parse, shape=answers.User)).id

    def recently_played(self, *, after_ms: int) -> answers.RecentlyPlayed:
        """Return up to 50 plays after a moment, newest first. Raises FetchError."""
        parse = partial(answers.parse, shape=answers.RecentlyPlayed)
        return self.get("/me/player/recently-played", parse, limit=50, after=after_ms)

    def saved_tracks(self) -> list[answers.Track]:
        """Return the tracks that the account keeps. Raises FetchError."""
        parse = partial(answers.parse, shape=answers.Page[answers.Saved])
        return [each.track for each in self._library("/me/tracks", parse, lambda saved: str(saved.track.id))]

    def saved_albums(self) -> list[answers.Album]:
        """Return the albums that the account keeps. Raises FetchError."""
        parse = partial(answers.parse, shape=answers.Page[answers.SavedAlbum])
        return [each.album for each in self._library("/me/albums", parse, lambda saved: str(saved.album.id))]

    def artists(self, ids: Sequence[str]) -> list[answers.Artist]:
        """Return artists with what Spotify tells about them. Raises FetchError."""
        return list(self._several("artists", ids, answers.Artist, 50))

    def tracks(self, ids: Sequence[str]) -> list[answers.Track]:
        """Return tracks. Raises FetchError."""
        return list(self._several("tracks", ids, answers.Track, 50))

    def audio_features(self, ids: Sequence[str]) -> list[answers.AudioFeatures]:
        """Return how tracks sound; nothing, with a remark, where Spotify has withdrawn it. Raises FetchError."""
        parse = partial(answers.parse_several, name="audio_features", shape=answers.AudioFeatures)
        found: list[answers.AudioFeatures] = []
        try:
            for part in _parts(ids, 100):
                found += self.get("/audio-features", parse, ids=",".join(part))
        except FetchError as error:
            if error.status not in _WITHDRAWN:
                raise
            self.remark(f"audio features are withdrawn for this application (HTTP {error.status})")
        return found

    def find_artist(self, name: str) -> answers.Artist | None:
        """Return the artist of a name as Spotify knows it, None if there is none. Raises FetchError."""
        parse = partial(answers.parse_found, name="artists", shape=answers.Artist)
        found = self.get("/search", parse, q=f'artist:"{name}"', type="artist", limit=5)
        return next((each for each in found if items.normal(each.name) == items.normal(name)), None)

    def find_track(self, artist: str, title: str) -> answers.Track | None:
        """Return the track of an artist and title as Spotify knows it, None if there is none. Raises FetchError."""
        parse = partial(answers.parse_found, name="tracks", shape=answers.Track)
        found = self.get("/search", parse, q=f'artist:"{artist}" track:"{title}"', type="track", limit=5)
        return next((each for each in found if items.normal(each.name) == items.normal(title)), None)

    def _library(self, path: str, parse: Callable[[bytes], answers.Page[S]], identity: Callable[[S], str]) -> list[S]:
        """Return a whole list. Its pages go by number: if its length changes on the way it is read again."""
        found: dict[str, S] = {}
        for _ in range(_WALKS):
            offset, totals = 0, set[int | None]()
            while True:
                page = self.get(path, parse, limit=_LIBRARY_PAGE, offset=offset)
                found.update((identity(each), each) for each in page.items)
                totals.add(page.total)
                offset += len(page.items)
                if page.next is None or not page.items:
                    break
            if len(totals) == 1:
                return list(found.values())
        self.remark(f"{path} changed while it was read, {_WALKS} times")
        return list(found.values())

    def _several(self, name: str, ids: Sequence[str], shape: type[S], most: int) -> Iterator[S]:
        parse = partial(answers.parse_several, name=name, shape=shape)
        try:
            for part in _parts(ids, most):
                yield from self.get(f"/{name}", parse, ids=",".join(part))
        except FetchError as error:
            if error.status not in _WITHDRAWN:
                raise
            self.remark(f"several {name} at once are refused (HTTP {error.status}): asked for one by one")
            yield from self._singly(name, ids[:_SINGLY], shape)

    def _singly(self, name: str, ids: Sequence[str], shape: type[S]) -> Iterator[S]:
        for each in ids:
            try:
                yield self.get(f"/{name}/{each}", partial(answers.parse, shape=shape))
            except FetchError as error:
                if error.status not in _WITHDRAWN:
                    raise
                self.remark(f"{name} are refused one by one as well (HTTP {error.status})")
                return

    def _headers(self) -> dict[str, str]:
        if self._given.credentials is None:
            return {}
        if time.monotonic() > self._token_ends:
            name, secret, refresh = self._given.credentials
            token = self.fetcher.ask(
                "POST", f"{self._given.accounts_url.rstrip('/')}/api/token",
                partial(answers.parse, shape=answers.Token),
                data={"grant_type": "refresh_token", "refresh_token": refresh}, auth=(name, secret),
            )  # fmt: skip
            self._token = token.access_token
            self._token_ends = time.monotonic() + max(0, token.expires_in - _SPARE_SECONDS)
        return {"authorization": f"Bearer {self._token}"}


def track_facts(track: answers.Track, origin: str, now: datetime) -> list[Fact]:
    """Return what a track's object tells about it, its artists and its album.

    Artists and albums go by their names, as everywhere: facts of several sources meet in one item.
    """
    if track.id is None or not track.artists:
        return []
    first, track_id = track.artists[0].name, items.spotify(ItemKind.TRACK, track.id)
    album_id = None if track.album is None else items.named(ItemKind.ALBUM, first, track.album.name)
    facts: list[Fact] = [
        TrackRow(
            NAME, track_id, track.name, origin, now, artist_id=items.named(ItemKind.ARTIST, first), artist_name=first,
            album_id=album_id, duration_ms=track.duration_ms, explicit=track.explicit, popularity=track.popularity,
            isrc=track.external_ids.get("isrc"),
        )
    ]  # fmt: skip
    for position, artist in enumerate(track.artists):
        artist_id = items.named(ItemKind.ARTIST, artist.name)
        facts.append(TrackArtistRow(NAME, track_id, position, artist_id, now))
        facts += artist_facts(artist, origin, now)
    if track.album is not None:
        facts.append(album_fact(track.album, first, origin, now))
    return facts


def artist_facts(artist: answers.Artist, origin: str, now: datetime) -> list[Fact]:
    """Return what an artist's object tells."""
    artist_id = items.named(ItemKind.ARTIST, artist.name)
    row = ArtistRow(NAME, artist_id, artist.name, origin, now, popularity=artist.popularity)
    return [row, *(TagRow(NAME, artist_id, genre, None, now) for genre in artist.genres)]


def album_fact(album: answers.Album, artist: str, origin: str, now: datetime) -> Fact:
    """Return what an album's object tells; `artist` names the item where the album itself names nobody."""
    name = album.artists[0].name if album.artists else artist
    return AlbumRow(
        NAME, items.named(ItemKind.ALBUM, artist, album.name), album.name, origin, now,
        artist_id=items.named(ItemKind.ARTIST, name), artist_name=name, release_date=album.release_date,
        tracks=album.total_tracks,
    )  # fmt: skip


def audio_features_fact(features: answers.AudioFeatures, origin: str, now: datetime) -> Fact:
    """Return the row of a track's audio features."""
    return AudioFeaturesRow(
        NAME, items.spotify(ItemKind.TRACK, features.id), origin, now, features.acousticness, features.danceability,
        features.energy, features.instrumentalness, features.liveness, features.loudness, features.speechiness,
        features.tempo, features.valence, features.key, features.mode, features.time_signature,
    )  # fmt: skip


def _parts(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(ids), size):
        yield ids[first : first + size]
