"""What listeners chose: who has paused, and which items somebody never wants to see; held in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Set

    from serving.database import Database

EVERY_SECONDS: Final = 2.0
_OVERLAP: Final = timedelta(minutes=1)
"""A change gets its time when its transaction begins and is seen when it ends: that long before what was seen last the
next look begins."""

_SECONDS: Final = 5.0
_PAUSED: Final = "select listener_id::text from identity.listener where paused_at is not null"
_CHANGED: Final = """
select listener_id::text, item_id, is_hidden, changed_at
from identity.hidden_items
where changed_at >= %(since)s
order by changed_at
"""
_PAUSE: Final = """
update identity.listener set paused_at = case when %(paused)s then coalesce(paused_at, now()) end
where listener_id = %(listener_id)s::uuid
"""
_HIDE: Final = """
insert into identity.hidden_items (listener_id, item_id, is_hidden)
select listener_id, %(item_id)s, %(hidden)s from identity.listener where listener_id = %(listener_id)s::uuid
on conflict (listener_id, item_id) do update set is_hidden = excluded.is_hidden, changed_at = now()
"""
_NOTHING: Final[frozenset[str]] = frozenset()

_log = structlog.get_logger()


class Choices:
    """Choices of all listeners; while PostgreSQL is away, those that were known last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._paused: frozenset[str] = _NOTHING
        self._hidden: dict[str, frozenset[str]] = {}
        self._seen_until = datetime.min.replace(tzinfo=UTC) + 2 * _OVERLAP

    def has_paused(self, listener_id: str) -> bool:
        """Whether nothing of a listener may be taken in now."""
        return listener_id in self._paused

    def hidden(self, listener_id: str) -> Set[str]:
        """Return the items that a listener never wants to see."""
        return self._hidden.get(listener_id, _NOTHING)

    async def pause(self, listener_id: str, *, paused: bool) -> None:
        """Note that a listener pauses or goes on.

        Raises:
            UnavailableError: PostgreSQL does not answer.
        """
        await self._database.rows(_PAUSE, {"listener_id": listener_id, "paused": paused})
        self._paused = self._paused | {listener_id} if paused else self._paused - {listener_id}

    async def hide(self, listener_id: str, item_id: str, *, hidden: bool) -> None:
        """Note that a listener never wants to see an item, or does again.

        Raises:
            UnavailableError: PostgreSQL does not answer.
        """
        await self._database.rows(_HIDE, {"listener_id": listener_id, "item_id": item_id, "hidden": hidden})
        self._set(listener_id, item_id, hidden=hidden)

    def forget(self, listener_id: str) -> None:
        """Drop what a listener chose who was erased."""
        self._hidden.pop(listener_id, None)
        self._paused -= {listener_id}

    async def watch(self) -> None:
        """Follow the tables, for ever."""
        while True:
            try:
                await self.refresh()
            except UnavailableError as error:
                _log.warning("choices not read", error=str(error))
            await asyncio.sleep(EVERY_SECONDS)

    async def refresh(self) -> None:
        """Read who has paused, and what was hidden or shown since the last look.

        Raises:
            UnavailableError: PostgreSQL does not answer.
        """
        paused = await self._database.rows(_PAUSED, seconds=_SECONDS)
        changed = await self._database.rows(_CHANGED, {"since": self._seen_until - _OVERLAP}, seconds=_SECONDS)
        self._paused = frozenset(row["listener_id"] for row in paused)
        for row in changed:
            self._set(row["listener_id"], row["item_id"], hidden=row["is_hidden"])
            self._seen_until = max(self._seen_until, row["changed_at"])

    def _set(self, listener_id: str, item_id: str, *, hidden: bool) -> None:
        items = self._hidden.get(listener_id, _NOTHING)
        self._hidden[listener_id] = items | {item_id} if hidden else items - {item_id}
