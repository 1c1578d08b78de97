"""What the online store knows of a listener: how often each item was heard, as one packed value.

One value per listener costs a request one GET. The counts are raw: the bundle that is asked says how to weigh them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from music_assets.recommender.interactions import Interactions

PREFIX: Final = "history:"
MAX_ITEMS: Final = 1000
"""Items kept of a listener, the latest heard: bounds both the value and the time of an answer."""

_PIPELINE: Final = 1000
_decoder: Final = msgspec.msgpack.Decoder(dict[str, float])


def key(listener_id: str) -> str:
    """Return the Redis key of a listener's history."""
    return f"{PREFIX}{listener_id}"


def encode(history: Mapping[str, float]) -> bytes:
    """Pack a history, item id to listens."""
    return msgspec.msgpack.encode(dict(history))


def decode(value: bytes | None) -> dict[str, float]:
    """Unpack a history; a listener nobody knows has an empty one."""
    return _decoder.decode(value) if value else {}


def histories(interactions: Interactions, *, max_items: int = MAX_ITEMS) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each listener with the items last heard and how often, the latest first."""
    ordered = interactions.latest_first
    for number, listener in enumerate(interactions.users):
        rows = slice(ordered.indptr[number], min(ordered.indptr[number + 1], ordered.indptr[number] + max_items))
        heard = zip(ordered.indices[rows].tolist(), ordered.data[rows].tolist(), strict=True)
        yield listener, {interactions.items[item]: count for item, count in heard}


def write_histories(redis: Any, interactions: Interactions, *, max_items: int = MAX_ITEMS) -> tuple[int, int]:
    """Write every listener's history in pipelines, then remove those of listeners that are no more.

    Returns:
        Histories written and removed.
    """
    written = 0
    pipeline = redis.pipeline(transaction=False)
    for listener, history in histories(interactions, max_items=max_items):
        pipeline.set(key(listener), encode(history))
        written += 1
        if written % _PIPELINE == 0:
            pipeline.execute()
    pipeline.execute()
    return written, _remove_vanished(redis, set(interactions.users))


def _remove_vanished(redis: Any, known: set[str]) -> int:
    removed = 0
    vanished: list[bytes] = []
    for found in redis.scan_iter(match=f"{PREFIX}*", count=_PIPELINE):
        name = found.decode() if isinstance(found, bytes) else found
        if name.removeprefix(PREFIX) not in known:
            vanished.append(found)
        if len(vanished) >= _PIPELINE:
            removed += int(redis.unlink(*vanished))
            vanished = []
    return removed + (int(redis.unlink(*vanished)) if vanished else 0)
