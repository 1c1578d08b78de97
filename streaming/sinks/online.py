"""The features in Redis as their one writer sees them: an epoch, positions, and events that count once.

Values, ids and positions go in together, so what Redis holds is always the features of exactly the positions that it
names, also after it came back from an old snapshot. The next start reads on from there: nothing lost, nothing twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streaming.columns import listener_hash
from streaming.errors import UnavailableError
from streaming.online import (
    EPOCH_KEY,
    EPOCH_SECONDS,
    FAMILY,
    FORGOTTEN_KEY,
    PREFIX,
    REBUILD_KEY,
    listener_of,
    position_key,
)
from streaming.sinks.transaction import Guard, PlaceLostError, transact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set

    from streaming.online import Position
    from streaming.sinks.transaction import Batch, Outcome

REBUILD_SECONDS: Final = 30
"""How long the claim of a killed process on the rebuild stands."""

_SCAN: Final = 1000
_TAKEN_OVER: Final = "another process took over to rebuild the features in Redis, or a listener was forgotten"
_CONNECT_SECONDS: Final = 2
_ANSWER_SECONDS: Final = 10


class OnlineStore:
    """The features in one Redis, a primary with replicas as well; no cluster, because a batch spans many keys.

    Args:
        url: of the Redis.

    Attributes:
        redis: a client that repeats nothing by itself.
    """

    def __init__(self, url: str) -> None:
        self.redis: Any = Redis.from_url(
            url, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_CONNECT_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._token = uuid4().hex

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()

    def epoch(self) -> str | None:
        """Return the name of what the store holds; None: nothing that counts, it has to be built."""
        value = self.redis.get(EPOCH_KEY)
        return value.decode() if value else None

    def stay(self, epoch: str) -> None:
        """Say that the job is alive and takes in all there is, so that the epoch goes on.

        Raises:
            PlaceLostError: the store holds another epoch, or none.
        """
        if self.epoch() != epoch or not self.redis.expire(EPOCH_KEY, EPOCH_SECONDS):
            raise PlaceLostError("Redis no longer holds the features that it held")

    def keep_out(self, forgotten: Set[bytes], on_progress: Callable[[], object]) -> None:
        """Remove what is held of forgotten listeners: an old snapshot brings them back, and an erasure may be cut off.

        Walks over all keys when there are more of the forgotten than the store was cleared of before.

        Args:
            forgotten: hashes of their ids.
            on_progress: called every thousand keys.

        Raises:
            RedisError: Redis does not answer; some may be gone already, and it can be called again.
        """
        if int(self.redis.get(FORGOTTEN_KEY) or 0) >= len(forgotten):
            return
        for number, name in enumerate(self.redis.scan_iter(match=f"{PREFIX}*", count=_SCAN)):
            listener = listener_of(name)
            if listener is not None and listener_hash(listener) in forgotten:
                self.redis.unlink(name)
            if number % _SCAN == 0:
                on_progress()
        self.redis.set(FORGOTTEN_KEY, len(forgotten))

    def commit(self, batch: Batch, *, epoch: str, now: int) -> Outcome:
        """Take a batch in: each event once, and the positions with them.

        Args:
            batch: the events, and the positions before and after them.
            epoch: what the store must hold.
            now: microseconds since 1970.

        Raises:
            PlaceLostError: the store holds another epoch or other positions than the batch begins at.
            RedisError: Redis does not answer; the batch is in or it is not.
        """
        return transact(self.redis, batch, Guard(key=EPOCH_KEY, value=epoch), now=now)

    def begin_rebuild(self, on_progress: Callable[[], object]) -> None:
        """Remove everything of every version of the layout; an attempt of this store's own that failed is replaced.

        Args:
            on_progress: called every thousand keys.

        Raises:
            UnavailableError: another process rebuilds.
        """
        if not self.redis.set(REBUILD_KEY, self._token, nx=True, ex=REBUILD_SECONDS) and not self._rebuilds():
            raise UnavailableError("another process rebuilds the features in Redis, or was killed while it did")
        self.redis.unlink(EPOCH_KEY)
        doomed: list[bytes] = []
        for name in self.redis.scan_iter(match=f"{FAMILY}*", count=_SCAN):
            if name != REBUILD_KEY.encode():
                doomed.append(name)
            if len(doomed) >= _SCAN:
                self.redis.unlink(*doomed)
                doomed = []
                self._extend()
                on_progress()
        if doomed:
            self.redis.unlink(*doomed)

    def _rebuilds(self) -> bool:
        return bool(self.redis.get(REBUILD_KEY) == self._token.encode())

    def _extend(self) -> None:
        if not self._rebuilds() or not self.redis.expire(REBUILD_KEY, REBUILD_SECONDS):
            raise PlaceLostError(_TAKEN_OVER)

    def add(self, batch: Batch, *, now: int) -> None:
        """Add events while a rebuild runs.

        Raises:
            PlaceLostError: another process took over.
        """
        self._extend()
        transact(self.redis, batch, Guard(key=REBUILD_KEY, value=self._token), now=now)

    def end_rebuild(self, positions: Mapping[tuple[str, int], Position]) -> None:
        """Let what was rebuilt count, as of these positions.

        Raises:
            PlaceLostError: another process took over.
            WatchError: it did so at this very moment.
        """
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.watch(REBUILD_KEY)
            if pipe.get(REBUILD_KEY) != self._token.encode():
                raise PlaceLostError(_TAKEN_OVER)
            pipe.multi()
            for partition, position in positions.items():
                pipe.set(position_key(*partition), str(position))
            pipe.set(EPOCH_KEY, uuid4().hex, ex=EPOCH_SECONDS)
            pipe.unlink(REBUILD_KEY)
            pipe.execute()
