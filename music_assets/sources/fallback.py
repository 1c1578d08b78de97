"""Who is asked for facts about an artist or a track, and who stands in when that source is limited or away.

The other service, then what an earlier answer said, then an invention that is labelled as one. Every row says its
source and its origin. Where the first source itself says that there is no such item, nobody is asked in its place.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from music_assets.sources import items
from music_assets.sources.facts import ArtistRow, Fact, Origin, TrackRow
from music_assets.sources.http import FetchError, Outcome
from streaming.events import ItemKind

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

_LOCKED: Final = frozenset({401, 403})
"""A key that is not taken is the source away, not the item unknown."""


class Provider(StrEnum):
    """Who can tell something."""

    LASTFM = "lastfm"
    SPOTIFY = "spotify"
    CACHED = "cached"
    SYNTHETIC = "synthetic"


LASTFM_FIRST: Final = (Provider.LASTFM, Provider.SPOTIFY, Provider.CACHED, Provider.SYNTHETIC)
SPOTIFY_FIRST: Final = (Provider.SPOTIFY, Provider.LASTFM, Provider.CACHED, Provider.SYNTHETIC)


def choose(order: Sequence[Provider], failed: Mapping[Provider, Outcome]) -> Provider | None:
    """Return who is asked next, None if nobody is.

    Args:
        order: who can be asked, the right source first.
        failed: who was asked in vain, and why.
    """
    if failed.get(order[0]) is Outcome.REFUSED:
        return None
    return next((provider for provider in order if provider not in failed), None)


@dataclass(frozen=True)
class Subject:
    """An artist, or a track by its artist and title."""

    artist: str
    title: str | None = None

    @property
    def item_id(self) -> str:
        """`artist:...` or `track:...` of the names."""
        if self.title is None:
            return items.named(ItemKind.ARTIST, self.artist)
        return items.named(ItemKind.TRACK, self.artist, self.title)


Ask = Callable[[Subject], list[Fact]]
"""Tells facts, none if it knows nothing of the subject. Raises FetchError."""


class Resolver:
    """Finds facts, and remembers for its run who is away.

    Args:
        order: who is asked, the right source first; those without an entry in `asks` are left out.
        asks: how each one is asked.

    Attributes:
        answered: subjects by who answered.
        unknown: subjects that the right source does not know.
        down: who is away, and why.
    """

    def __init__(self, order: Sequence[Provider], asks: Mapping[Provider, Ask]) -> None:
        self._order = [provider for provider in order if provider in asks]
        self._asks = asks
        self.answered: Counter[Provider] = Counter()
        self.unknown: list[Subject] = []
        self.down: dict[Provider, FetchError] = {}

    def facts(self, subject: Subject) -> list[Fact]:
        """Return facts about a subject from the first who has some."""
        failed = {provider: error.outcome for provider, error in self.down.items()}
        while (provider := choose(self._order, failed)) is not None:
            try:
                found = self._asks[provider](subject)
            except FetchError as error:
                if error.outcome is not Outcome.REFUSED or error.status in _LOCKED:
                    self.down[provider] = error
                    failed[provider] = Outcome.UNAVAILABLE
                else:
                    failed[provider] = Outcome.REFUSED
                continue
            if found:
                self.answered[provider] += 1
                return found
            failed[provider] = Outcome.REFUSED
        self.unknown.append(subject)
        return []


def cached(conn: psycopg.Connection[tuple[Any, ...]]) -> Ask:
    """Return what tells the newest fact that an earlier answer gave, under its source and time and as `cached`."""

    def ask(subject: Subject) -> list[Fact]:
        kind: type[ArtistRow | TrackRow] = ArtistRow if subject.title is None else TrackRow
        table = "artists" if subject.title is None else "tracks"
        row = conn.execute(
            f"select {', '.join(kind._fields)} from source.{table}"
            " where item_id = %s and listeners is not null and origin <> 'synthetic' order by fetched_at desc limit 1",
            [subject.item_id],
        ).fetchone()
        return [] if row is None else [kind(*row)._replace(origin=Origin.CACHED)]

    return ask


def synthetic(now: datetime) -> Ask:
    """Return what invents a fact: figures that are a function of the name, under the source `synthetic`."""

    def ask(subject: Subject) -> list[Fact]:
        figure = int.from_bytes(hashlib.blake2b(subject.item_id.encode(), digest_size=2).digest())
        given = (Provider.SYNTHETIC.value, subject.item_id)
        if subject.title is None:
            return [ArtistRow(*given, subject.artist, Origin.SYNTHETIC, now, listeners=figure, playcount=figure * 20)]
        artist_id = items.named(ItemKind.ARTIST, subject.artist)
        return [
            TrackRow(
                *given, subject.title, Origin.SYNTHETIC, now, artist_id=artist_id, artist_name=subject.artist,
                listeners=figure, playcount=figure * 20,
            )
        ]  # fmt: skip

    return ask
