"""A lease as an object: made if it is not there, taken over if it was not renewed, both as one conditional write.

Its age is the difference of two times that the store itself says, so clocks of machines need not agree.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from streaming.errors import TimeoutExpiredError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.storage import Storage

EXPIRES_SECONDS: Final = 15.0
"""A holder that did not renew for this long is taken to be gone."""
_RENEWALS: Final = 3
"""Attempts to renew before the lease expires."""
_POLL_SECONDS: Final = 0.5
_LOST_RACE: Final = {"PreconditionFailed", "ConditionalRequestConflict"}
_MISSING: Final = {"NoSuchKey", "404"}

log = structlog.get_logger()


@contextmanager
def object_lease(storage: Storage, name: str, *, timeout: float) -> Iterator[None]:
    """Hold a lease of a lake on an object store.

    A holder that is cut off from the store for longer than the lease lasts may not be alone; the fences of the tables
    refuse the later of two commits.

    Args:
        storage: where the lake lies.
        name: the object's place below its root.
        timeout: seconds to wait for the holder before.

    Raises:
        TimeoutExpiredError: another one held it all the time.
        UnavailableError: the store does not answer.
        ConfigurationError: it refuses the settings.
    """
    storage.check()
    held = _Held(storage, name)
    held.take(timeout)
    renewing = threading.Thread(target=held.renew, name="lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        held.done.set()
        renewing.join()
        held.release()


class _Held:
    """The lease's object as this process last wrote it."""

    def __init__(self, storage: Storage, name: str) -> None:
        assert storage.store is not None
        self.done = threading.Event()
        self._client = storage.store.client()
        self._where = {"Bucket": storage.bucket, "Key": storage.key(name)}
        self._shown = f"{storage}/{name}"
        self._holder = f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"
        self._tag = ""

    def take(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while (holder := self._try()) is not None:
            if time.monotonic() >= deadline:
                raise TimeoutExpiredError(
                    f"another process writes to this lake ({holder} holds {self._shown}); stop it or wait for its end"
                )
            time.sleep(_POLL_SECONDS)

    def _try(self) -> str | None:
        """Take the lease; return who has it otherwise."""
        try:
            found = self._client.get_object(**self._where)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _MISSING:
                raise
            return None if self._put(self._holder, IfNoneMatch="*") else "another one"
        holder = json.loads(found["Body"].read())["holder"]
        if holder is not None and _age(found) < EXPIRES_SECONDS:
            return str(holder)
        return None if self._put(self._holder, IfMatch=found["ETag"]) else "another one"

    def _put(self, holder: str | None, **condition: str) -> bool:
        """Write the object; return whether the condition held."""
        # The serial makes each content another one: an ETag is a hash of it.
        body = json.dumps({"holder": holder, "expires_seconds": EXPIRES_SECONDS, "serial": uuid4().hex})
        try:
            self._tag = self._client.put_object(**self._where, Body=body.encode(), **condition)["ETag"]
        except ClientError as error:
            if error.response["Error"]["Code"] not in _LOST_RACE:
                raise
            return False
        return True

    def renew(self) -> None:
        while not self.done.wait(EXPIRES_SECONDS / (_RENEWALS + 1)):
            try:
                if not self._put(self._holder, IfMatch=self._tag):
                    log.error("lease_lost", lease=self._shown)
                    return
            except (BotoCoreError, ClientError) as error:
                log.warning("lease_not_renewed", lease=self._shown, error=type(error).__name__)

    def release(self) -> None:
        """Let the next one take it at once; if that fails it expires."""
        try:
            self._put(None, IfMatch=self._tag)
        except (BotoCoreError, ClientError) as error:
            log.warning("lease_not_released", lease=self._shown, error=type(error).__name__)


def _age(found: Any) -> float:
    """Seconds since an object was written, by the clock of the store."""
    now = parsedate_to_datetime(found["ResponseMetadata"]["HTTPHeaders"]["date"])
    return float((now - found["LastModified"]).total_seconds())
