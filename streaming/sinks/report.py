"""Tells Dagster what the service wrote, so that a stream's tables have a history there like any other asset."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import httpx
import structlog

from streaming.tables import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming.lake import Lake

_INTERVAL_SECONDS: Final = 30.0
"""Least time between two reports of a table: every one is a row in Dagster's storage for ever."""

log = structlog.get_logger()


class Reporter:
    """Sends at most one report per table and interval from a thread of its own; a Dagster that is away is no error.

    Args:
        port: of Dagster's webserver on this machine.
        lake: where the row counts come from.
        interval_seconds: least time between two reports of a table.
    """

    def __init__(self, port: int, lake: Lake, *, interval_seconds: float = _INTERVAL_SECONDS) -> None:
        self._url = f"http://127.0.0.1:{port}/report_asset_materialization"
        self._lake = lake
        self._interval = interval_seconds
        self._pending: dict[str, int] = {}
        self._sent: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="report", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what was not sent yet is left out."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def note(self, added: Mapping[str, int]) -> None:
        """Take note of rows added, by table id; returns at once."""
        with self._lock:
            for table_id, rows in added.items():
                self._pending[table_id] = self._pending.get(table_id, 0) + rows

    def _work(self) -> None:
        while not self._stopping.wait(1):
            for table_id, rows in self._due().items():
                self._send(table_id, rows)

    def _due(self) -> dict[str, int]:
        now = time.monotonic()
        with self._lock:
            due = [name for name in self._pending if now - self._sent.get(name, -self._interval) >= self._interval]
            self._sent.update(dict.fromkeys(due, now))
            return {name: self._pending.pop(name) for name in due}

    def _send(self, table_id: str, rows: int) -> None:
        total = self._lake.count(tables()[table_id])
        body = {"metadata": {"dagster/row_count": total, "rows_added": rows}}
        try:
            httpx.post(f"{self._url}/{table_id}", json=body, timeout=5).raise_for_status()
        except httpx.HTTPError as error:
            log.debug("report_failed", table=table_id, error=str(error))
