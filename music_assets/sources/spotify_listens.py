"""Spotify's last plays: a source for `music_assets.sources.listens.Collector`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from music_assets.sources.facts import Fact, Origin
from music_assets.sources.listens import Page, milliseconds
from music_assets.sources.plays import Play
from music_assets.sources.spotify import NAME, Spotify, track_facts

if TYPE_CHECKING:
    from datetime import datetime

    from music_assets.sources.answers.spotify import Play as Played

_KEPT: Final = 50
_DAY_MS: Final = 86_400_000


class SpotifyListens:
    """The last 50 plays.

    Args:
        spotify: asks.
        user_id: whose plays they are for the platform; None: `spotify:` and the account.
        now: time of the facts.
    """

    name: str = NAME
    step_ms: int = 1
    lookback_ms: int = _DAY_MS

    def __init__(self, spotify: Spotify, user_id: str | None, now: datetime) -> None:
        self.fetcher = spotify.fetcher
        self.origin: str = spotify.origin
        self._spotify = spotify
        self._user_id = user_id
        self._now = now

    def page(self, account: str, *, since_ms: int, before_ms: int) -> Page:
        """Return the plays of a window that Spotify still has: one page, there is never another. Raises FetchError."""
        found = self._spotify.recently_played(after_ms=max(0, since_ms - 1))
        inside = [each for each in found.items if since_ms <= milliseconds(each.played_at) < before_ms]
        facts: list[Fact] = []
        for each in inside:
            facts += track_facts(each.track, self.origin, self._now)
        forgotten = len(found.items) >= _KEPT
        return Page(
            [self._play(each, account) for each in inside], more=False, facts=facts,
            complete_from_ms=min(milliseconds(each.played_at) for each in found.items) if forgotten else None,
        )  # fmt: skip

    def _play(self, played: Played, account: str) -> Play:
        track, context = played.track, played.context
        where = context.type if context else None
        return Play(
            user_id=self._user_id or f"{NAME}:{account}", played_at=played.played_at,
            artist=track.artists[0].name if track.artists else "", title=track.name,
            album=track.album.name if track.album else None, duration_ms=track.duration_ms, spotify_id=track.id,
            source=NAME, context=where if self.origin == Origin.LIVE else self.origin,
        )  # fmt: skip
