"""What becomes of each position of a batch: plain logic over positions and hashes, without Spark."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from streaming.claims import Claim, ClaimIndex, Verdict
from streaming.errors import IntegrityError
from streaming.ledger import Partition
from streaming.topics import topics

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS: Final = (
    "topic", "kafka_topic_id", "kafka_partition", "kafka_offset", "event_id", "listener_hash", "payload_hash", "reason",
)  # fmt: skip
"""What the driver needs to know of each message."""

Written = Mapping[tuple[str, int, int], str]
"""Positions beyond the ledger's end that an unfinished batch did store or dead-letter: their outcome stands."""


class Fate(StrEnum):
    """What keeps a parsed row from being written where its content says."""

    DUPLICATE = "duplicate"
    OTHER_LISTENER = "other_listener"
    WRITTEN = "written"


@dataclass(frozen=True)
class Decision:
    """Outcomes of a batch.

    Attributes:
        counts: by partition, how many positions had which outcome; `event_id_conflicts` besides.
        fates: positions that are not written where their content says: (topic, partition, offset, fate).
        new_rows: rows to write by table id.
        claims: what the index must remember once the ledger has the batch.
    """

    counts: dict[Partition, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    fates: list[tuple[str, int, int, str]] = field(default_factory=list)
    new_rows: Counter[str] = field(default_factory=Counter)
    claims: dict[bytes, bytes] = field(default_factory=dict)


def decide(messages: pa.Table, index: ClaimIndex, written: Written) -> Decision:
    """Give every position of a batch its one outcome.

    Args:
        messages: `COLUMNS` of the parsed batch, in any order.
        index: who holds which event_id.
        written: what an unfinished batch left behind.
    """
    decision = Decision()
    order = [("topic", "ascending"), ("kafka_partition", "ascending"), ("kafka_offset", "ascending")]
    by_topic: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in messages.select(list(COLUMNS)).sort_by(order).to_pylist():
        by_topic[row["topic"]].append(row)
    for topic, rows in by_topic.items():
        _decide_topic(topic, rows, index=index, written=written, into=decision)
    return decision


def _decide_topic(
    topic: str, rows: list[dict[str, Any]], *, index: ClaimIndex, written: Written, into: Decision
) -> None:
    silver, dead = f"silver/{topics()[topic].table}", f"deadletter/{topic}"
    claiming: list[Claim] = []
    for row in rows:
        at = (row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"])
        outcome = written.get(at)
        counts = into.counts[Partition(*at[:2])]
        if outcome is not None:
            counts[outcome] += 1
            into.fates.append((topic, *at[1:], Fate.WRITTEN))
        elif row["reason"] is not None:
            counts["dead_lettered"] += 1
            into.new_rows[dead] += 1
        elif row["event_id"] is None:
            counts["stored"] += 1
            into.new_rows[silver] += 1
        else:
            claiming.append(Claim(row["event_id"], at, row["listener_hash"], row["payload_hash"]))
    judged = index.judge(topic, claiming)
    into.claims.update(judged.new)
    for claim, verdict in zip(claiming, judged.verdicts, strict=True):
        _count(topic, claim, verdict, into=into)


def _count(topic: str, claim: Claim, verdict: Verdict, *, into: Decision) -> None:
    counts = into.counts[Partition(*claim.position[:2])]
    if verdict is Verdict.STORED:
        counts["stored"] += 1
        into.new_rows[f"silver/{topics()[topic].table}"] += 1
    elif verdict is Verdict.OTHER_LISTENER:
        counts["dead_lettered"] += 1
        into.new_rows[f"deadletter/{topic}"] += 1
        into.fates.append((topic, *claim.position[1:], Fate.OTHER_LISTENER))
    else:
        counts["duplicate"] += 1
        counts["event_id_conflicts"] += verdict is Verdict.CONFLICT
        into.fates.append((topic, *claim.position[1:], Fate.DUPLICATE))


def ledger_row(topic: str, at: Partition, *, first: int, end: int, counts: Counter[str]) -> dict[str, Any]:
    """Return a batch's ledger row of one partition, without the columns of the batch.

    Raises:
        IntegrityError: the outcomes do not add up to the range.
    """
    received = counts["stored"] + counts["duplicate"] + counts["dead_lettered"]
    if received > end - first or (received < end - first and not topics()[topic].compacted):
        raise IntegrityError(f"{topic}[{at.partition}]: offsets {first}..{end} were planned, but {received} were read")
    return {
        "topic": topic,
        "kafka_topic_id": at.topic_id,
        "kafka_partition": at.partition,
        "first_offset": first,
        "end_offset": end,
        "received": received,
        **{name: counts[name] for name in ("stored", "duplicate", "dead_lettered", "event_id_conflicts")},
    }
