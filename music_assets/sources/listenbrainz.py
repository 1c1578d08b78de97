"""ListenBrainz: listens of accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from music_assets.sources import items
from music_assets.sources.accounts import Account, accounts
from music_assets.sources.answers import listenbrainz as answers
from music_assets.sources.facts import ArtistRow, Fact, Origin, TrackRow
from music_assets.sources.http import Fetcher, Service
from music_assets.sources.listens import Page
from music_assets.sources.plays import Play
from music_assets.sources.recorded import ACCOUNT, RecordedTransport
from streaming.events import ItemKind

if TYPE_CHECKING:
    from music_assets.settings import Settings

NAME: Final = "listenbrainz"
_PAGE: Final = 1000
_SMALLEST_PAGE: Final = 100
"""The least that servers allow a page to hold at most."""
_PER_SECOND: Final = 2.0
"""Below the thirty requests in ten seconds that ListenBrainz allows."""
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class Access:
    """Whose listens to read, and a token if there is one; without accounts, the recorded ones."""

    service: Service
    headers: dict[str, str]
    origin: Origin
    accounts: tuple[Account, ...]


def access(settings: Settings) -> Access:
    """Return how ListenBrainz is talked to under these settings."""
    known = accounts(NAME, "LISTENBRAINZ_USERS", settings.listenbrainz_users)
    if not known:
        service = Service(NAME, settings.listenbrainz_url, 1000, 1000, answers.judge, transport=RecordedTransport(NAME))
        return Access(service, {}, Origin.RECORDED, (Account(ACCOUNT, f"{NAME}:{ACCOUNT}"),))
    token = settings.listenbrainz_token.get_secret_value() if settings.listenbrainz_token else None
    service = Service(NAME, settings.listenbrainz_url, _PER_SECOND, 5, answers.judge, secrets=(token,) if token else ())
    return Access(service, {"authorization": f"Token {token}"} if token else {}, Origin.LIVE, known)


class ListenbrainzListens:
    """Listens as plays: a source for `music_assets.sources.listens.Collector`."""

    name: str = NAME
    step_ms: int = 1000
    lookback_ms: int = _DAY_MS

    def __init__(self, fetcher: Fetcher, given: Access, now: datetime) -> None:
        self.fetcher = fetcher
        self.origin: str = given.origin
        self._headers = given.headers
        self._user_ids = {account.name: account.user_id for account in given.accounts}
        self._now = now

    def page(self, account: str, *, since_ms: int, before_ms: int) -> Page:
        """Return a page that ends at a time; both bounds of ListenBrainz are exclusive. Raises FetchError."""
        found = self.fetcher.get(
            f"/1/user/{quote(account, safe='')}/listens", answers.listens, headers=self._headers,
            params={"count": _PAGE, "min_ts": max(0, since_ms // 1000 - 1), "max_ts": -(-before_ms // 1000)},
        )  # fmt: skip
        inside = [each for each in found if since_ms <= each.listened_at * 1000 < before_ms]
        plays = [self._play(each, account) for each in inside]
        # A server may give fewer than were asked for: only an empty page is the last one for sure.
        return Page(plays, more=bool(plays), full=len(found) >= _SMALLEST_PAGE, names=self._names(inside))

    def _play(self, listen: answers.Listen, account: str) -> Play:
        track = listen.track_metadata
        return Play(
            user_id=self._user_ids.get(account, f"{NAME}:{account}"),
            played_at=datetime.fromtimestamp(listen.listened_at, UTC), artist=track.artist_name,
            title=track.track_name, album=track.release_name or None, mbid=_mbid(track), source=NAME,
            duration_ms=_duration(track), context=None if self.origin == Origin.LIVE else self.origin,
        )  # fmt: skip

    def _names(self, listens: list[answers.Listen]) -> list[Fact]:
        facts: list[Fact] = []
        for track in (each.track_metadata for each in listens):
            artist_id = items.named(ItemKind.ARTIST, track.artist_name)
            # Several artists under one name have no one id.
            mbids = track.mbid_mapping.artist_mbids if track.mbid_mapping else []
            mbid = mbids[0] if len(mbids) == 1 else None
            facts.append(ArtistRow(NAME, artist_id, track.artist_name, self.origin, self._now, mbid=mbid))
            facts.append(
                TrackRow(
                    NAME, items.named(ItemKind.TRACK, track.artist_name, track.track_name), track.track_name,
                    self.origin, self._now, artist_id=artist_id, artist_name=track.artist_name,
                    duration_ms=_duration(track), mbid=_mbid(track),
                )
            )  # fmt: skip
        return facts


def _mbid(track: answers.TrackMetadata) -> str | None:
    """Return the recording's id: the player's own word stands above what ListenBrainz guessed."""
    given = track.additional_info.recording_mbid if track.additional_info else None
    return given or (track.mbid_mapping.recording_mbid if track.mbid_mapping else None)


def _duration(track: answers.TrackMetadata) -> int | None:
    """Return the length in milliseconds; what players write there is not always a number of sense."""
    info = track.additional_info
    if info is None:
        return None
    for value, unit in ((info.duration_ms, 1), (info.duration, 1000)):
        try:
            length = int(float(value) * unit) if value else 0
        except ValueError:
            continue
        if 0 < length <= _DAY_MS:
            return length
    return None
