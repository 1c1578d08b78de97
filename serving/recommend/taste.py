"""What a listener likes at this moment: the counts of the last training, and what the stream has seen since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.events import EventType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming.features import RecentItem


def taste(counts: Mapping[str, float], recent: Sequence[RecentItem]) -> dict[str, float]:
    """Return how often each item was heard, with what was heard since the counts were made.

    An item that is in both is not counted again: which of its listens the counts hold is not known. Of somebody who
    has not heard anything yet, what they looked at, clicked on or rated speaks instead.

    Args:
        counts: item id to listens, as of the last training.
        recent: what the listener did lately.
    """
    heard = {item.item_id: 1.0 for item in recent if item.event_type is EventType.LISTEN}
    if counts or heard:
        return heard | dict(counts)
    return {item.item_id: 1.0 for item in recent}
