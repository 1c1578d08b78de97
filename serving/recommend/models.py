"""The bundle that serves: follows the champion pointer and changes over without a request noticing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from music_assets.recommender import bundle
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from pathlib import Path

    from music_assets.recommender.bundle import Bundle
    from serving.metrics import Metrics

_POLL_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 10.0
"""Time before a bundle that did not load is tried again: checking it costs seconds of CPU."""

_log = structlog.get_logger()


class Models:
    """Holds one immutable bundle; a request takes the reference once and keeps it to its end."""

    def __init__(self, root: Path, metrics: Metrics) -> None:
        self.current: Bundle | None = None
        self.known = False
        self.error: str | None = None
        self._root = root
        self._metrics = metrics
        self._refused: str | None = None
        self._retry_at = 0.0

    async def watch(self) -> None:
        """Follow the pointer, for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(_POLL_SECONDS)

    async def refresh(self) -> None:
        """Change over if the pointer moved to a bundle that proves whole; else the last good one goes on."""
        try:
            version = await asyncio.to_thread(bundle.champion, self._root)
        except OSError as error:
            self.error, self.known = f"the champion pointer cannot be read: {type(error).__name__}", True
            return
        if version is None or (self.current is not None and version == self.current.version):
            self.known, self.error = True, None
            return
        if version == self._refused and time.monotonic() < self._retry_at:
            return
        try:
            loaded = await asyncio.to_thread(bundle.load, self._root, version)
        except (IntegrityError, OSError) as error:
            self._refused, self._retry_at = version, time.monotonic() + _RETRY_SECONDS
            self.error, self.known = str(error), True
            _log.exception("bundle refused", version=version)
            return
        self.current, self.known, self.error = loaded, True, None
        self._metrics.model(loaded.version)
        _log.info("bundle serves", version=loaded.version)
