"""What there is of some listeners in the lake, and the record of it that keeps the ledger balanced."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from streaming.columns import listener_hash, marks_of
from streaming.ledger import Partition, end_offsets
from streaming.sinks.erase import Offsets
from streaming.sinks.tables import Write, append_arrow
from streaming.staging import owner_of, silver_of
from streaming.tables import ERASED, POSITION, dead_letters
from streaming.tables import bronze as bronze_table
from streaming.topics import log_topics, topics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming.lake import Lake
    from streaming.tables import Table


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is there of the listeners.

    Attributes:
        positions: of their rows, by table id.
        digests: of the event ids that silver holds of them.
    """

    positions: dict[str, Offsets] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    digests: list[bytes] = field(default_factory=list)


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
        for row in batch.select(POSITION.names).to_pylist():
            found.positions[table.id][_partition(row)].add(row["kafka_offset"])
        found.digests.extend(marks_of(topic, batch)[0])


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
        write = Write(expected={}, leaves={}, note={"erasure_id": erasure_id})
        append_arrow(pa.Table.from_pylist(rows, ERASED.schema), ERASED, lake.storage, write=write)


def _known(lake: Lake) -> Offsets:
    known: Offsets = defaultdict(set)
    for row in lake.read(ERASED, POSITION.names).to_pylist():
        known[_partition(row)].add(row["kafka_offset"])
    return known


def _partition(row: Mapping[str, Any]) -> Partition:
    return Partition(row["kafka_topic_id"], row["kafka_partition"])


def _place(at: Partition, offset: int) -> dict[str, Any]:
    return {"kafka_topic_id": at.topic_id, "kafka_partition": at.partition, "kafka_offset": offset}
