"""Erasure: everything of some listeners leaves the lake, its old files and the claim index, and stays out.

Each step can be repeated and finds out from the tables what is left to do, so an erasure that was killed anywhere is
ended by asking for it again. First silver and bronze are brought up to now; then the tombstones stand, and what comes
later is dropped on arrival; then every position of theirs is written down with its outcome, so that the ledger balances
whether its row is still there or not; then the claims, the rows and the files go.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import redis
import structlog

from streaming import online
from streaming.claims import ClaimIndex, as_digests
from streaming.columns import listener_hash, mark_of
from streaming.control import Receipt
from streaming.errors import ConfigurationError, HaltedError, UnavailableError
from streaming.jobs import LEASE_TIMEOUT_SECONDS, intake
from streaming.jobs.engine import Engine, engine
from streaming.jobs.lease import lease
from streaming.jobs.recovery import forgotten
from streaming.lake import Lake
from streaming.ledger import Partition, end_offsets
from streaming.sinks.erase import Offsets, remove_positions, sweep
from streaming.sinks.tables import Write, append_arrow
from streaming.staging import owner_of, silver_of
from streaming.tables import ERASED, POSITION, TOMBSTONES, dead_letters, tables
from streaming.tables import bronze as bronze_table
from streaming.topics import log_topics, topics

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


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is there of the listeners.

    Attributes:
        positions: of their rows, by table id.
        digests: of the event ids that silver holds of them.
    """

    positions: dict[str, Offsets] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    digests: list[bytes] = field(default_factory=list)


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
    """
    settings.storage.require_delta("an erasure")
    check_request(listener_ids, erasure_id)
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


def write_tombstones(lake: Lake, listener_ids: Sequence[str], erasure_id: str) -> datetime:
    """Make the intake drop what these listeners send; return since when it does for all of them."""
    now = datetime.now(UTC)
    hashes = {listener_hash(each) for each in listener_ids}
    missing = sorted(hashes - forgotten(lake))
    if not missing:
        held = lake.read(TOMBSTONES, ["erased_at"], pc.field("listener_hash").isin(list(hashes)))
        return pc.max(held.column("erased_at")).as_py()  # type: ignore[no-any-return]
    rows = [{"listener_hash": each, "erasure_id": erasure_id, "erased_at": now} for each in missing]
    _append(lake, TOMBSTONES, rows, erasure_id)
    return now


def find(lake: Lake, listener_ids: Sequence[str]) -> Found:
    """Return everything there is of some listeners."""
    found = Found()
    hashes = frozenset(listener_hash(each) for each in listener_ids)
    naming = _naming(listener_ids)
    for topic in log_topics():
        _find_rows(lake, topic.name, listener_ids, found)
    for topic in topics().values():
        letters, archive = dead_letters(topic.name), bronze_table(topic.table)
        for table in (letters, archive):
            _find_messages(lake, table, hashes, naming, found.positions[table.id])
        for table_id in (f"silver/{topic.table}", letters.id):
            for at, offsets in found.positions[table_id].items():
                found.positions[archive.id][at] |= offsets
    return found


def _find_rows(lake: Lake, topic: str, listener_ids: Sequence[str], found: Found) -> None:
    table = silver_of(topic)
    for batch in lake.batches(table, pc.field("user_id").isin(list(listener_ids))):
        for row in batch.to_pylist():
            found.positions[table.id][_partition(row)].add(row["kafka_offset"])
            found.digests.append(mark_of(topic, row)[0])


def _find_messages(
    lake: Lake, table: Table, hashes: frozenset[bytes], naming: re.Pattern[bytes], into: Offsets
) -> None:
    columns = ["key", "value", *POSITION.names]
    for batch in lake.dataset(table).to_batches(columns=columns):
        pairs = zip(batch.column("value").to_pylist(), batch.column("key").to_pylist(), strict=True)
        hits = [row for row, pair in enumerate(pairs) if _is_of(*pair, hashes=hashes, naming=naming)]
        for row in batch.select(POSITION.names).take(pa.array(hits, pa.int64())).to_pylist():
            into[_partition(row)].add(row["kafka_offset"])


def _is_of(value: bytes | None, key: bytes | None, *, hashes: frozenset[bytes], naming: re.Pattern[bytes]) -> bool:
    """Whether a message is of one of the listeners, or is unreadable and has one of their ids in it."""
    if owner_of(value, key) in hashes:
        return True
    return owner_of(value, None) is None and any(naming.search(part) for part in (value, key) if part)


def _naming(listener_ids: Sequence[str]) -> re.Pattern[bytes]:
    """Match any of the ids where it stands alone: one may be the beginning of another."""
    ids = b"|".join(re.escape(each.encode(errors="surrogateescape")) for each in sorted(set(listener_ids)))
    return re.compile(rb"(?<![0-9A-Za-z_-])(?:" + ids + rb")(?![0-9A-Za-z_-])")


def write_positions(lake: Lake, found: Found, erasure_id: str) -> None:
    """Write down each position with its outcome, except those that an attempt before wrote down.

    A position in bronze alone is a duplicate if the ledger has counted it; what the ledger has not counted yet, silver
    will meet and drop by itself.
    """
    ends, known = end_offsets(lake), _known(lake)
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for topic in topics().values():
        sources = ((f"silver/{topic.table}", "stored"), (f"deadletter/{topic.name}", "dead_lettered"),
                   (f"bronze/{topic.table}", "stored" if topic.compacted else "duplicate"))  # fmt: skip
        for table_id, outcome in sources:
            for at, offsets in found.positions[table_id].items():
                counted = {each for each in offsets if table_id[:6] != "bronze" or each < ends.get(at, 0)}
                about = {"topic": topic.name, "outcome": outcome, "erasure_id": erasure_id, "erased_at": now}
                rows += [{**about, **_place(at, each)} for each in sorted(counted - known[at])]
                known[at] |= counted
    if rows:
        _append(lake, ERASED, rows, erasure_id)


def _known(lake: Lake) -> Offsets:
    known: Offsets = defaultdict(set)
    for row in lake.read(ERASED, POSITION.names).to_pylist():
        known[_partition(row)].add(row["kafka_offset"])
    return known


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


def _append(lake: Lake, table: Table, rows: list[dict[str, Any]], erasure_id: str) -> None:
    write = Write(expected={}, leaves={}, note={"erasure_id": erasure_id})
    append_arrow(pa.Table.from_pylist(rows, table.schema), table, lake.storage, write=write)


def _partition(row: Mapping[str, Any]) -> Partition:
    return Partition(row["kafka_topic_id"], row["kafka_partition"])


def _place(at: Partition, offset: int) -> dict[str, Any]:
    return {"kafka_topic_id": at.topic_id, "kafka_partition": at.partition, "kafka_offset": offset}
