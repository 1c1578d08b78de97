"""Resolves user ids: memory first, then Redis, then PostgreSQL, each only for what the one before did not know."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from serving.lately import keep
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serving.cache import Cache
    from serving.identity.store import ListenerStore
    from serving.metrics import Metrics

_REMEMBERED: Final = 100_000
"""Listeners kept in memory, some 20 MB."""


class Resolved(NamedTuple):
    """Listener ids by user id; `complete` is False when the identity store could not be asked for the rest."""

    listeners: dict[str, str]
    complete: bool


class Identity:
    """Listener ids of this process's clients."""

    def __init__(self, store: ListenerStore, cache: Cache, metrics: Metrics) -> None:
        self._metrics = metrics
        self._store = store
        self._cache = cache
        self._memory: OrderedDict[str, str] = OrderedDict()

    async def resolve(self, user_ids: Iterable[str], *, create: bool) -> Resolved:
        """Return the listener ids of user ids; never fails.

        Args:
            user_ids: as the clients name them.
            create: make a listener for those that have none; a reader must not.
        """
        wanted = list(dict.fromkeys(user_ids))
        memory = self._memory
        listeners = {user_id: known for user_id in wanted if (known := memory.get(user_id)) is not None}
        for user_id in listeners:
            memory.move_to_end(user_id)
        missing = [] if len(listeners) == len(wanted) else [user_id for user_id in wanted if user_id not in listeners]
        self._metrics.cache("listeners_memory", "hit", len(listeners))
        self._metrics.cache("listeners_memory", "miss", len(missing))
        if not missing:
            return Resolved(listeners, complete=True)
        found = await self._cache.listeners(missing)
        self._metrics.cache("listeners_redis", "hit", len(found))
        self._metrics.cache("listeners_redis", "miss", len(missing) - len(found))
        self._remember(found)
        listeners |= found
        if not (missing := [user_id for user_id in missing if user_id not in found]):
            return Resolved(listeners, complete=True)
        try:
            stored = await (self._store.ensure(missing) if create else self._store.find(missing))
        except UnavailableError:
            return Resolved(listeners, complete=False)
        self._remember(stored)
        if stored:
            await self._cache.remember_listeners(stored)
        return Resolved(listeners | stored, complete=True)

    async def forget(self, user_id: str) -> None:
        """Drop what is remembered of a user who was erased."""
        self._memory.pop(user_id, None)
        await self._cache.forget_listeners([user_id])

    def _remember(self, listeners: Mapping[str, str]) -> None:
        for user_id, listener_id in listeners.items():
            keep(self._memory, user_id, listener_id, most=_REMEMBERED)
