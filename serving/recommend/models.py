"""The bundles that serve: follow their pointers and change over without a request noticing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from music_assets.recommender import bundle
from serving import garbage
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from pathlib import Path

    from music_assets.recommender.bundle import Bundle, Pointer
    from serving.metrics import Metrics

_POLL_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 10.0
"""Time before a bundle that did not load is tried again: checking it costs seconds of CPU."""

_log = structlog.get_logger()


class Followed:
    """Holds the one immutable bundle that a pointer names, or the last good one."""

    def __init__(self, root: Path, name: Pointer) -> None:
        self.current: Bundle | None = None
        self.known = False
        self.error: str | None = None
        self._root = root
        self._name = name
        self._refused: str | None = None
        self._retry_at = 0.0

    async def refresh(self) -> bool:
        """Change over if the pointer moved to a bundle that proves whole; return whether it did."""
        try:
            version = await asyncio.to_thread(bundle.pointer, self._root, self._name)
        except OSError as error:
            self.error, self.known = f"the {self._name} pointer cannot be read: {type(error).__name__}", True
            return False
        if version is None or (self.current is not None and version == self.current.version):
            self._settle(version)
            return False
        if version == self._refused and time.monotonic() < self._retry_at:
            return False
        try:
            loaded = await asyncio.to_thread(bundle.load, self._root, version)
        except (IntegrityError, OSError) as error:
            self._refused, self._retry_at = version, time.monotonic() + _RETRY_SECONDS
            self.error, self.known = str(error), True
            _log.exception("bundle refused", version=version, pointer=self._name)
            return False
        self.current, self.known, self.error = loaded, True, None
        _log.info("bundle serves", version=loaded.version, pointer=self._name)
        return True

    def _settle(self, version: str | None) -> None:
        # A challenger ends with its pointer; a champion only gives way to another one.
        if version is None and self._name == "challenger":
            self.current = None
        self.known, self.error = True, None


class Models:
    """The champion and the challenger; a request takes a reference once and keeps it to its end."""

    def __init__(self, root: Path, metrics: Metrics) -> None:
        self._champion = Followed(root, "champion")
        self._challenger = Followed(root, "challenger")
        self._metrics = metrics

    @property
    def current(self) -> Bundle | None:
        """The champion."""
        return self._champion.current

    @property
    def challenger(self) -> Bundle | None:
        """What is tried beside it."""
        return self._challenger.current

    @property
    def known(self) -> bool:
        """Whether the champion's pointer was read."""
        return self._champion.known

    @property
    def error(self) -> str | None:
        """Why the bundle that a pointer names does not serve, the champion's first."""
        return self._champion.error or self._challenger.error

    async def watch(self) -> None:
        """Follow the pointers, for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(_POLL_SECONDS)

    async def refresh(self) -> None:
        """Follow both pointers once; the last good bundle goes on where the new one does not load."""
        changed = await self._champion.refresh()
        if changed and self.current is not None:
            self._metrics.model(self.current.version)
        if await self._challenger.refresh() or changed:
            garbage.set_aside()
