"""Whether a compacted topic holds something newer than a dead letter of the same key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.events import normalise_item_id
from streaming.staging import silver_of
from streaming.tables import bronze
from streaming.topics import topics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from streaming.lake import Lake


class Newest:
    """The last message of each key: from bronze, which keeps removals, and from silver, which is ahead of it.

    Args:
        lake: the lake.
        topic: a compacted one.
    """

    def __init__(self, lake: Lake, topic: str) -> None:
        columns = ["kafka_topic_id", "key", "kafka_offset", "kafka_timestamp"]
        rows = lake.read(bronze(topics()[topic].table), columns)
        last = rows.group_by(columns[:2]).aggregate([("kafka_offset", "max"), ("kafka_timestamp", "max")])
        self._offsets: dict[tuple[str, bytes | None], int] = {}
        self._times: dict[bytes | None, dict[str, datetime]] = {}
        for row in last.to_pylist():
            self._offsets[row["kafka_topic_id"], row["key"]] = row["kafka_offset_max"]
            self._times.setdefault(row["key"], {})[row["kafka_topic_id"]] = row["kafka_timestamp_max"]
        held = lake.read(silver_of(topic), ["item_id", "kafka_topic_id", "kafka_offset"]).to_pylist()
        self._held = {(row["kafka_topic_id"], row["item_id"]): row["kafka_offset"] for row in held}

    def supersedes(self, letter: Mapping[str, Any]) -> bool:
        """Whether a later message of the letter's key is known; in another incarnation of the topic, by its time."""
        topic_id, key, offset = letter["kafka_topic_id"], letter["key"], letter["kafka_offset"]
        if max(self._offsets.get((topic_id, key), -1), self._held.get((topic_id, _item(key)), -1)) > offset:
            return True
        others = self._times.get(key, {}).items()
        return any(moment > letter["kafka_timestamp"] for other, moment in others if other != topic_id)


def _item(key: bytes | None) -> str | None:
    try:
        return normalise_item_id((key or b"").decode())
    except ValueError:
        return None
