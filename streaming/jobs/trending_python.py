"""Charts without a JVM: delta-rs reads, Arrow counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from streaming.jobs.trending import COUNTED
from streaming.lake import Lake
from streaming.tables import silver
from streaming.transforms.charts import contributions, owned, owners, ranked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from streaming.storage import Storage
    from streaming.trending import Window

_COLUMNS: Final = ("user_id", "event_type", "item_id", "timestamp")
_OWNERS: Final = ("item_id", "artist_id", "album_id")


class ArrowCharts:
    """The engine; it holds 16 bytes of each event of a window, and each listener and item of it once.

    Args:
        storage: where the lake lies.
    """

    def __init__(self, storage: Storage) -> None:
        self._lake = Lake(storage)

    def chart(self, window: Window, as_of: datetime) -> pa.Table:
        """See `streaming.jobs.trending.Engine`."""
        songs = self._lake.read(silver("catalog_songs"), _OWNERS)
        albums = self._lake.read(silver("catalog_albums"), _OWNERS[:2])
        events = owned(self._events(as_of - window.length, as_of), owners(songs, albums))
        return ranked(contributions(events, window=window, as_of=as_of))

    def _events(self, after: datetime, until: datetime) -> Iterator[pa.RecordBatch]:
        for table in COUNTED:
            yield from self._lake.between(table, "timestamp", after=after, until=until, columns=_COLUMNS)
