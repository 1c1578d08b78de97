"""What somebody played lately, of what the online store and the warehouse know; and who there is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from serving.plays.feed import Heard, heard
from serving.plays.schemas import Play, RecentAnswer
from streaming.errors import UnavailableError
from streaming.events import EventType, derive_event_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.cache import Cache
    from serving.catalog import Details, Names
    from serving.database import Database
    from serving.privacy.service import Privacy

_SECONDS: Final = 1.0

# The order by week first is that of the index.
_RECENT: Final = """
select coalesce(source_item_id, item_id) as item_id, listened_at, event_id, ms_played, source, touched_at
from marts.fct_listens where user_id = %(listener_id)s
order by local_week desc, listened_at desc limit %(limit)s
"""
_USERS: Final = """
select user_id from identity.listener where starts_with(user_id, %(prefix)s) order by user_id limit %(limit)s
"""


class Plays:
    """Reads plays."""

    def __init__(self, warehouse: Database, people: Privacy, cache: Cache, *, names: Names, details: Details) -> None:
        self._warehouse = warehouse
        self._people = people
        self._cache = cache
        self._names = names
        self._details = details

    async def recent(self, user_id: str, *, limit: int) -> RecentAnswer:
        """Return what a user played lately, the newest first.

        Args:
            user_id: as the client names the user.
            limit: plays at most.

        Raises:
            HTTPException: nobody of this user id is known.
            UnavailableError: neither store answers.
        """
        listener_id = await self._people.listener(user_id)
        latest, built = await asyncio.gather(self._latest(listener_id), self._built(listener_id, limit))
        if latest is None and built is None:
            raise UnavailableError("neither the stream's newest plays nor the warehouse's can be told; try again later")
        # The warehouse knows more of a play, so its word stands.
        known = {(play.item_id, play.played_at): play for play in [*(latest or ()), *(built or ([], None))[0]]}
        newest = sorted(known.values(), key=lambda play: play.played_at, reverse=True)[:limit]
        return RecentAnswer(
            user_id=user_id,
            plays=[self.shown(user_id, play) for play in newest],
            as_of=datetime.now(UTC) if latest is not None else built[1] if built else None,
            degraded=latest is None or built is None,
        )

    def shown(self, user_id: str, play: Heard) -> Play:
        """Return a play as it is told, with the names of the catalogue."""
        names, detail = self._names.value, self._details.value.get(play.item_id)
        artist_id = detail.artist_id if detail else None
        return Play(
            event_id=play.event_id or derive_event_id(user_id, EventType.LISTEN, play.item_id, play.played_at),
            item_id=play.item_id, name=names.get(play.item_id),
            artist=names.get(artist_id) if artist_id and artist_id != play.item_id else None,
            played_at=play.played_at, ms_played=play.ms_played, source=play.source,
        )  # fmt: skip

    async def users(self, prefix: str, *, limit: int) -> list[str]:
        """Return user ids that begin with a text.

        Raises:
            UnavailableError: PostgreSQL does not answer.
        """
        rows = await self._warehouse.rows(_USERS, {"prefix": prefix, "limit": limit})
        return [row["user_id"] for row in rows]

    async def _latest(self, listener_id: str) -> Sequence[Heard] | None:
        try:
            [features] = await self._cache.features([listener_id])
        except UnavailableError:
            return None
        return heard(features)

    async def _built(self, listener_id: str, limit: int) -> tuple[list[Heard], datetime | None] | None:
        values = {"listener_id": listener_id, "limit": limit}
        try:
            rows: list[dict[str, Any]] = await self._warehouse.rows(_RECENT, values, seconds=_SECONDS)
        except UnavailableError:
            return None
        plays = [
            Heard(row["item_id"], row["listened_at"], row["event_id"], row["ms_played"], row["source"]) for row in rows
        ]
        return plays, max((row["touched_at"] for row in rows), default=None)
