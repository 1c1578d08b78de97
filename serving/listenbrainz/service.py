"""Reads what scrobblers submit, as plays: the same item ids and event ids that an import of the history gives."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from fastapi.exceptions import HTTPException

from music_assets.sources.answers.listenbrainz import TrackMetadata
from music_assets.sources.feed import catalogue_messages
from music_assets.sources.plays import Play, records, refusal
from serving.events.edge import MAX_BATCH
from streaming.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCE: Final = "listenbrainz"


class Submitted(msgspec.Struct):
    """One listen as a player tells it; of what plays just now there is no time yet."""

    track_metadata: TrackMetadata
    listened_at: int | None = None


class Submission(msgspec.Struct):
    """A request of a scrobbler."""

    listen_type: Literal["single", "import", "playing_now"]
    payload: list[Submitted]


_decode: Final = msgspec.json.Decoder(Submission).decode


def plays(body: bytes, user_id: str) -> list[Play]:
    """Return the plays of a submission; none of what only plays just now.

    Raises:
        HTTPException: it is not one, or a listen in it is not valid; then none is taken, as ListenBrainz has it.
    """
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _bad(f"the body is no submission: {error}") from error
    if not 1 <= len(found.payload) <= MAX_BATCH:
        raise _bad(f"payload must hold 1 to {MAX_BATCH} listens, not {len(found.payload)}")
    if found.listen_type == "playing_now":
        return []
    now = datetime.now(UTC)
    made = [_play(each, place, user_id) for place, each in enumerate(found.payload)]
    for place, play in enumerate(made):
        if (refused := refusal(play, now)) is not None:
            raise _bad(f"payload[{place}]: {refused.field} {refused.reason}")
    return made


def _play(listen: Submitted, place: int, user_id: str) -> Play:
    if listen.listened_at is None:
        raise _bad(f"payload[{place}]: listened_at is missing")
    track = listen.track_metadata
    try:
        played_at = datetime.fromtimestamp(listen.listened_at, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _bad(f"payload[{place}]: listened_at must be seconds since 1970") from error
    return Play(
        user_id=user_id, played_at=played_at, artist=track.artist_name, title=track.track_name,
        album=track.release_name or None, source=SOURCE,
    )  # fmt: skip


def events(made: Sequence[Play]) -> list[bytes]:
    """Return plays as the events that `POST /events` takes."""
    return [
        msgspec.json.encode(
            {
                "user_id": play.user_id, "event_type": "listen", "item_id": play.item_id,
                "timestamp": play.played_at.isoformat(), "source": play.source,
            }
        )
        for play in made
    ]  # fmt: skip


def unknown_items(made: Sequence[Play], names: Mapping[str, str]) -> list[Outgoing]:
    """Return the catalogue's messages of what nobody named yet; a name that is known stays as it is."""
    fresh = {record.item_id: record for play in made for record in records(play) if record.item_id not in names}
    return [
        Outgoing(message.topic, message.key, message.value or b"", message.key)
        for message in catalogue_messages(fresh.values())
    ]


def _bad(sentence: str) -> HTTPException:
    return HTTPException(HTTPStatus.BAD_REQUEST, sentence)
