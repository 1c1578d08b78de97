"""Erasure: everything of some listeners leaves the lake, its old files and the claim index, and stays out.

Each step can be repeated and finds out from the tables what is left to do, so an erasure that was killed anywhere is
ended by asking for it again. First silver and bronze are brought up to now; then the tombstones stand, and what comes
later is dropped on arrival; then every position of theirs is written down with its outcome, so that the ledger balances
whether its row is still there or not; then the claims, the rows and the files go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import redis
import structlog

from streaming import online
from streaming.claims import ClaimIndex, as_digests
from streaming.control import Receipt
from streaming.errors import ConfigurationError, HaltedError, UnavailableError
from streaming.jobs import LEASE_TIMEOUT_SECONDS, intake
from streaming.jobs.engine import Engine, engine
from streaming.jobs.lease import FILES, lease
from streaming.jobs.tombstones import write_tombstones
from streaming.jobs.traces import Found, find, write_positions
from streaming.lake import Lake
from streaming.repair.switch import settle
from streaming.sinks.erase import remove_positions, sweep
from streaming.tables import tables
from streaming.topics import topics

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from streaming.settings import Settings
    from streaming.tables import Table

Forget = Callable[["Settings", Sequence[str]], None]
"""Removes listeners from a store beside the lake; can be repeated, and returns only when they are gone."""


def _forget_online(settings: Settings, listener_ids: Sequence[str]) -> None:
    with redis.Redis.from_url(settings.redis) as client:
        try:
            online.forget(client, listener_ids)
        except redis.RedisError as error:
            raise UnavailableError(
                "Redis does not answer, so the listeners' features are not gone yet; repeat the erasure when it does"
            ) from error


STORES: Final[dict[str, Forget]] = {"online": _forget_online}
"""The stores beside the lake by the name they have in a receipt."""

LISTENER_LENGTH: Final = 128
_ERASURE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SEGMENT: Final = timedelta(days=7)
"""A broker closes a segment that does not fill after this long (`log.roll.hours`), and counts retention from then."""
_DELETION: Final = timedelta(hours=1)
"""More than a broker takes to look for what is due (5 minutes) and to delete it (1 minute)."""
_LAYERS: Final = ("silver", "deadletter", "bronze")

log = structlog.get_logger()


def erase(
    settings: Settings,
    listener_ids: Sequence[str],
    erasure_id: str,
    *,
    jobs: Engine,
    stores: Mapping[str, Forget] = STORES,
) -> Receipt:
    """Remove listeners from the lake, for good; can be repeated.

    The caller holds the lease, and no stream of this process runs.

    Args:
        settings: where things are.
        listener_ids: who; the random ids, not those of a client.
        erasure_id: names the request in the tables; no personal data.
        jobs: brings silver and bronze up to now first.
        stores: what else forgets them.

    Raises:
        ConfigurationError: an id cannot be one.
        UnavailableError: the broker does not answer.
        TimeoutExpiredError: upkeep is at work on a large table.
        IntegrityError: a rebuild that was killed cannot be finished.
    """
    settings.storage.require_delta("an erasure")
    check_request(listener_ids, erasure_id)
    # A file that upkeep wrote anew meanwhile would bring back what was removed.
    with lease(settings, FILES, spark=None, timeout=LEASE_TIMEOUT_SECONDS):
        # What a rebuild left holds rows too, and half a switch would bring them back.
        settle(settings)
        return _erase(settings, listener_ids, erasure_id, jobs=jobs, stores=stores)


def _erase(
    settings: Settings, listener_ids: Sequence[str], erasure_id: str, *, jobs: Engine, stores: Mapping[str, Forget]
) -> Receipt:
    lake = Lake(settings.storage)
    lake.create_all()
    bring_up_to_now(jobs)
    hidden_at = write_tombstones(lake, listener_ids, erasure_id)
    found = find(lake, listener_ids)
    write_positions(lake, found, erasure_id)
    gone_at = _broker_gone_at(hidden_at, found)
    forget_claims(settings, found.digests)
    gone_at["claims"] = datetime.now(UTC)
    rows = remove_rows(lake, found, erasure_id)
    sweep_files(lake)
    gone_at["lake"] = datetime.now(UTC)
    for name, forget in stores.items():
        forget(settings, listener_ids)
        gone_at[name] = datetime.now(UTC)
    log.info("erased", erasure_id=erasure_id, listeners=len(set(listener_ids)), **rows)
    return Receipt(erasure_id=erasure_id, hidden_at=hidden_at, gone_at=gone_at, rows=rows)


def erase_once(listener_ids: Sequence[str], erasure_id: str, settings: Settings, spark: SparkSession | None) -> Receipt:
    """Remove listeners from a lake to which nobody writes; as `erase`, and takes the lease.

    Raises:
        ConfigurationError: an id cannot be one.
        TimeoutExpiredError: another process writes to the lake.
        UnavailableError: the broker does not answer.
        IntegrityError: a rebuild that was killed cannot be finished.
    """
    check_request(listener_ids, erasure_id)
    with lease(settings, "lease", spark=spark, timeout=LEASE_TIMEOUT_SECONDS):
        return erase(settings, listener_ids, erasure_id, jobs=engine(settings, spark))


def erase_alone(settings: Settings, listener_ids: Sequence[str], erasure_id: str) -> Receipt:
    """Remove listeners while no stream service is up: as `erase_once`, with a session of its own if need be."""
    check_request(listener_ids, erasure_id)
    if settings.stream_engine == "python":
        return erase_once(listener_ids, erasure_id, settings, None)
    from streaming.spark import session

    spark = session(settings)
    try:
        return erase_once(listener_ids, erasure_id, settings, spark)
    finally:
        spark.stop()


def check_request(listener_ids: Sequence[str], erasure_id: str) -> None:
    """Check what was asked for.

    Raises:
        ConfigurationError: an id cannot be one; the message never shows a listener's.
    """
    if not listener_ids:
        raise ConfigurationError("listener_ids is empty; valid: at least one listener id")
    if any(not 0 < len(each) <= LISTENER_LENGTH for each in listener_ids):
        raise ConfigurationError(f"a listener id has another length than 1 to {LISTENER_LENGTH} characters")
    if not _ERASURE_ID.fullmatch(erasure_id) or any(each in erasure_id for each in listener_ids):
        raise ConfigurationError(
            f"erasure_id {'is not valid' if _ERASURE_ID.fullmatch(erasure_id) is None else 'holds a listener id'}; "
            "valid: 1 to 64 letters, digits, dots, dashes and underscores that say nothing of a person"
        )


def bring_up_to_now(jobs: Engine) -> None:
    """Take in what the topics hold, silver before bronze, so that each position silver counted is in bronze too."""
    try:
        jobs.silver().run()
    except HaltedError as halt:
        # Nobody waits for a fixed parser to be forgotten: what silver did not take in yet, it drops later.
        log.warning("erasing_while_halted", sentence=str(halt))
    jobs.bronze().run()


def forget_claims(settings: Settings, digests: list[bytes]) -> None:
    """Drop claims, from the index's files too.

    Before the rows: from rows that are still there a repeated erasure learns which claims to drop.
    """
    path = settings.checkpoint_root / intake.NAME / "claims"
    if not digests or not path.exists():
        return
    index = ClaimIndex(path)
    index.forget(as_digests(digests))
    index.close()
    # Opening it once more begins a new manifest: the old one names the first and last key of files that are gone.
    ClaimIndex(path).close()


def remove_rows(lake: Lake, found: Found, erasure_id: str) -> dict[str, int]:
    """Take the rows out of the tables; return how many left each."""
    note = {"erasure_id": erasure_id}
    return {
        table.id: remove_positions(table, lake.storage, found.positions[table.id], note=note)
        for table in _tables()
        if found.positions[table.id]
    }


def sweep_files(lake: Lake) -> None:
    """Delete the files that hold removed rows, those of older versions and those that no version ever named."""
    for table in _tables():
        sweep(table, lake.storage)


def _tables() -> list[Table]:
    # Bronze last: it is what a lost silver would be rebuilt from.
    return sorted((each for each in tables().values() if each.layer in _LAYERS), key=lambda t: _LAYERS.index(t.layer))


def _broker_gone_at(hidden_at: datetime, found: Found) -> dict[str, datetime | None]:
    """When the broker has deleted what was in the topics at that moment, at the latest.

    A compacted topic keeps what was put there by mistake until something else comes under its key: None.
    """
    gone: dict[str, datetime | None] = {}
    for topic in topics().values():
        if topic.retention_days is not None:
            gone[f"kafka/{topic.name}"] = hidden_at + timedelta(days=topic.retention_days) + _SEGMENT + _DELETION
        elif found.positions[f"bronze/{topic.table}"]:
            gone[f"kafka/{topic.name}"] = None
    return gone
