"""A play as collectors and imports know it, and the one way of plays onto the topics.

A play becomes a listen on `events_listens` and, the first time a sender meets its items, records on the catalogue's
topics. Its event id is derived from listener, item and time, so that the same play sent twice is stored once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import psycopg
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from music_assets.identity import ensure_listeners
from music_assets.sources import items
from music_assets.sources.client import send_messages
from music_assets.sources.feed import ForeignMessage, catalogue_messages
from streaming.errors import ContractError, UnavailableError
from streaming.events import (
    AlbumRecord,
    ArtistRecord,
    CatalogRecord,
    EventType,
    Identifier,
    ItemKind,
    ListenEvent,
    Milliseconds,
    SongRecord,
    Text,
    check_time,
    derive_event_id,
)
from streaming.outgoing import Outgoing, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streaming.producer import EventProducer

_REMEMBERED: Final = 200_000
"""Items, and listeners, that a sender remembers; then it begins anew, which costs messages and changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One play as a source tells it.

    Attributes:
        user_id: who, as the source or the person who imports names them; never leaves for Kafka.
        played_at: when it began, with a zone.
        artist: name as the source writes it.
        title: of the track.
        album: if known.
        ms_played: how long it was heard, in milliseconds.
        duration_ms: how long the track is, in milliseconds.
        spotify_id: Spotify's id of the track, 22 characters.
        mbid: MusicBrainz' id of the recording; what two ids of items have in common by it is one recording.
        source: which collector or kind of file.
        context: where it happened, such as a device.
    """

    user_id: str
    played_at: datetime
    artist: str
    title: str
    source: str
    album: str | None = None
    ms_played: int | None = None
    duration_ms: int | None = None
    spotify_id: str | None = None
    mbid: str | None = None
    context: str | None = None

    @property
    def item_id(self) -> str:
        """`track:spotify:ID`, or `track:...` of the normalised artist and title."""
        if self.spotify_id is not None:
            return items.spotify(ItemKind.TRACK, self.spotify_id)
        return items.named(ItemKind.TRACK, self.artist, self.title)


class Refusal(NamedTuple):
    """Why a play cannot be sent: the field to blame, if one is, and a sentence without the value."""

    field: str | None
    reason: str


class _Limits(BaseModel):
    """A play's fields within the limits of the messages they go into."""

    model_config = ConfigDict(from_attributes=True, strict=True)

    user_id: Identifier
    artist: Text
    title: Text
    source: Identifier
    album: Text | None
    ms_played: Milliseconds | None
    duration_ms: Milliseconds | None
    spotify_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{22}$")] | None
    context: Text | None


_NAMES: Final = ("user_id", "artist", "title", "album")
_CHECK: Final = _Limits.__pydantic_validator__.validate_python


def refusal(play: Play, now: datetime) -> Refusal | None:
    """Return why a play breaks the contract of a message at `now`, None if it does not."""
    try:
        _CHECK(play)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return Refusal(str(first["loc"][0]), first["msg"][0].lower() + first["msg"][1:])
    # Not a validator of the model: those in Python would take more time than all the rest of the check.
    for name, text in (
        ("user_id", play.user_id),
        ("artist", play.artist),
        ("title", play.title),
        ("album", play.album),
    ):
        if text is not None and not text.strip():
            return Refusal(name, "must not be blank")
    if play.played_at.tzinfo is None:
        return Refusal("played_at", "must have a zone")
    try:
        check_time(play.played_at, now)
    except ValueError as error:
        return Refusal("played_at", str(error).replace("timestamp", "played_at"))
    return None


def listen(play: Play, listener_id: str) -> Outgoing:
    """Return the message of a valid play, in the form that the API gives its events."""
    item_id, played_at = play.item_id, play.played_at.astimezone(UTC)
    event = ListenEvent(
        event_id=derive_event_id(listener_id, EventType.LISTEN, item_id, played_at), user_id=listener_id,
        event_type=EventType.LISTEN, item_id=item_id, timestamp=played_at, ms_played=play.ms_played,
        source=play.source, context=play.context,
    )  # fmt: skip
    return encode(event)


def records(play: Play) -> tuple[CatalogRecord, ...]:
    """Return what a valid play tells about its artist, its album if it names one, and its track."""
    artist_id = items.named(ItemKind.ARTIST, play.artist)
    artist = ArtistRecord(item_id=artist_id, name=play.artist, source=play.source)
    if play.album is None:
        return artist, _song(play, artist_id, None)
    album_id = items.named(ItemKind.ALBUM, play.artist, play.album)
    album = AlbumRecord(item_id=album_id, name=play.album, source=play.source, artist_id=artist_id)
    return artist, album, _song(play, artist_id, album_id)


def _song(play: Play, artist_id: str, album_id: str | None) -> SongRecord:
    return SongRecord(
        item_id=play.item_id, name=play.title, source=play.source, artist_id=artist_id, album_id=album_id,
        duration_ms=play.duration_ms,
    )  # fmt: skip


_Names = tuple[str, str, str | None]
"""Item, artist and album as a play spells them: what the same records are made of."""


class PlaySender:
    """Sends plays under listener ids, and each item's record once.

    Args:
        producer: where to; more than one sender may share it.
        database: URL of the PostgreSQL that knows the listeners.
        listeners: listener ids by user id that are known already.
        patience_seconds: how long `send` tries before it gives up.
    """

    def __init__(
        self,
        producer: EventProducer,
        database: str,
        *,
        listeners: Mapping[str, str] | None = None,
        patience_seconds: float = 180,
    ) -> None:
        self._producer = producer
        self._database = database
        self._patience = patience_seconds
        self._given = dict(listeners or {})
        self._listeners = dict(self._given)
        self._items: set[str] = set()
        self._met: set[_Names] = set()

    def send(self, plays: Sequence[Play]) -> int:
        """Send valid plays and return how many were sent, once the broker has acknowledged every one.

        Plays of who was erased or has paused are left out.

        After an error any of them may be on the topic: send them again, they are stored once.

        Raises:
            ContractError: a play is not valid (see `refusal`); nothing was sent.
            UnavailableError: PostgreSQL does not answer; nothing was sent.
            TimeoutExpiredError: the broker did not acknowledge all within the patience; names how many of which topic.
        """
        now = datetime.now(UTC)
        for place, play in enumerate(plays):
            if (refused := refusal(play, now)) is not None:
                raise ContractError("out_of_range", refused.field, f"play {place}: {refused.field} {refused.reason}")
        listeners = self._resolve({play.user_id for play in plays})
        plays = [play for play in plays if play.user_id in listeners]
        met = {key: play for play in plays if (key := (play.item_id, play.artist, play.album)) not in self._met}
        fresh: dict[str, CatalogRecord] = {}
        for play in met.values():
            for record in records(play):
                if record.item_id not in self._items:
                    fresh.setdefault(record.item_id, record)
        # The names go first: a chart that knows the play knows what it is called.
        messages = list(catalogue_messages(fresh.values()))
        for play in plays:
            message = listen(play, listeners[play.user_id])
            messages.append(ForeignMessage(message.topic, message.key, message.value))
        send_messages(self._producer, messages, patience_seconds=self._patience)
        self._remember(met, fresh)
        return len(plays)

    def _remember(self, met: Iterable[_Names], fresh: Iterable[str]) -> None:
        if len(self._met) > _REMEMBERED:
            self._met.clear()
            self._items.clear()
        self._met.update(met)
        self._items.update(fresh)

    def _resolve(self, user_ids: set[str]) -> dict[str, str]:
        if len(self._listeners) > _REMEMBERED:
            self._listeners = dict(self._given)
        missing = sorted(user_ids - self._listeners.keys())
        if missing:
            try:
                with psycopg.connect(self._database, connect_timeout=10) as connection:
                    self._listeners |= ensure_listeners(connection, missing)
            except psycopg.OperationalError as error:
                raise UnavailableError("PostgreSQL does not answer: listeners cannot be looked up") from error
        return self._listeners
