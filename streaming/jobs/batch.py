"""What becomes of each position of a batch: plain logic over marks, without Spark."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.claims import ClaimIndex, Claims, Verdict
from streaming.errors import IntegrityError
from streaming.ledger import Partition
from streaming.pieces import Piece, fixed, from_bytes
from streaming.topics import topics

Written = Mapping[tuple[str, int, int], str]
"""Positions beyond the ledger's end that an unfinished batch did store or dead-letter: their outcome stands."""

Mask = np.ndarray[Any, np.dtype[np.bool_]]


class Fate(IntEnum):
    """What becomes of a position; the first four are the verdicts of its claim."""

    STORED = Verdict.STORED
    DUPLICATE = Verdict.DUPLICATE
    CONFLICT = Verdict.CONFLICT
    OTHER_LISTENER = Verdict.OTHER_LISTENER
    DEAD = 4
    STORED_BEFORE = 5
    DEAD_BEFORE = 6
    ERASED = 7
    """Of a listener who asked to be forgotten: counted as stored and as erased, and written nowhere."""


_OUTCOME: Final = {
    Fate.STORED: "stored",
    Fate.DUPLICATE: "duplicate",
    Fate.CONFLICT: "duplicate",
    Fate.OTHER_LISTENER: "dead_lettered",
    Fate.DEAD: "dead_lettered",
    Fate.STORED_BEFORE: "stored",
    Fate.DEAD_BEFORE: "dead_lettered",
    Fate.ERASED: "stored",
}


_FATE_BEFORE: Final = {
    "stored": Fate.STORED_BEFORE,
    "dead_lettered": Fate.DEAD_BEFORE,
    "duplicate": Fate.DUPLICATE,
}
"""An erased position may have been a duplicate: nothing of it is written either way."""


@dataclass(frozen=True)
class Decision:
    """Outcomes of a batch.

    Attributes:
        keep: of each piece, which of its marks' rows are written, in the order of the marks.
        foreign: by topic, partition and offset of valid events whose id another listener holds.
        erased: position and topic of what is written nowhere because its listener is forgotten.
        counts: by partition, how many positions had which outcome; `event_id_conflicts` and `erased` besides.
        claims: what the index must remember once the ledger has the batch.
    """

    keep: list[Mask] = field(default_factory=list)
    foreign: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    erased: list[tuple[str, Partition, int]] = field(default_factory=list)
    counts: dict[Partition, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    claims: list[Claims] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What stands before a batch.

    Attributes:
        index: who holds which event_id.
        written: what an unfinished batch left behind.
        forgotten: hashes of the listeners who are erased.
    """

    index: ClaimIndex
    written: Written
    forgotten: Set[bytes]


Rank = Callable[[Partition, np.ndarray[Any, np.dtype[np.int64]]], np.ndarray[Any, np.dtype[np.int64]]]
"""When offsets of a partition came, as numbers that can be compared over all partitions."""


def decide(pieces: list[Piece], topic_ids: Mapping[str, str], known: Known, *, rank: Rank | None = None) -> Decision:
    """Give every position of a batch its one outcome.

    Args:
        pieces: the staged batch.
        topic_ids: the broker's id of each topic.
        known: what stands before it.
        rank: tells which of two positions came first where that is not partition and offset: a replay of several
            batches in one must find the owners of event ids that the batches found.
    """
    decision = Decision(keep=[np.zeros(0, bool)] * len(pieces))
    by_topic: dict[str, list[int]] = defaultdict(list)
    for at, piece in enumerate(pieces):
        by_topic[piece.topic].append(at)
    for topic, ats in by_topic.items():
        tables = [from_bytes(pieces[at].marks) for at in ats]
        fates = _decide_topic(topic, topic_ids[topic], pa.concat_tables(tables), known=known, rank=rank, into=decision)
        written = (fates == Fate.STORED) | (fates == Fate.DEAD)
        for at, part in zip(ats, np.split(written, np.cumsum([table.num_rows for table in tables])[:-1]), strict=True):
            decision.keep[at] = part
    return decision


def _decide_topic(
    topic: str, topic_id: str, marks: pa.Table, *, known: Known, rank: Rank | None, into: Decision
) -> np.ndarray[Any, np.dtype[np.int8]]:
    partitions = marks.column("partition").to_numpy()
    offsets = marks.column("offset").to_numpy()
    fates = np.where(marks.column("dead").to_numpy(), np.int8(Fate.DEAD), np.int8(Fate.STORED))
    if known.forgotten:
        gone = pc.is_in(marks.column("listener"), value_set=pa.array(list(known.forgotten), pa.binary(8)))
        fates[gone.to_numpy()] = Fate.ERASED
    if known.written:
        _mark_written(topic_id, partitions, offsets, written=known.written, fates=fates)
    order = _order(topic_id, partitions, offsets, rank)
    claiming = order[(fates[order] == Fate.STORED) & marks.column("digest").is_valid().to_numpy()[order]]
    if len(claiming):
        claims = _claims(topic_id, marks.take(pa.array(claiming)))
        verdicts = known.index.judge(claims)
        fates[claiming] = verdicts
        into.claims.append(claims.take(np.flatnonzero(verdicts == Verdict.STORED)))
    _count(topic_id, partitions, fates, into.counts)
    into.foreign[topic].extend(_places(partitions, offsets, fates == Fate.OTHER_LISTENER))
    gone = _places(partitions, offsets, fates == Fate.ERASED)
    into.erased.extend((topic, Partition(topic_id, partition), offset) for partition, offset in gone)
    return fates


def _order(
    topic_id: str, partitions: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any], rank: Rank | None
) -> np.ndarray[Any, np.dtype[np.int64]]:
    if rank is None:
        return np.lexsort((offsets, partitions))
    ranks = np.zeros(len(offsets), np.int64)
    for partition in np.unique(partitions).tolist():
        here = partitions == partition
        ranks[here] = rank(Partition(topic_id, partition), offsets[here])
    return np.lexsort((offsets, partitions, ranks))


def _places(partitions: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any], chosen: Mask) -> Iterable[tuple[int, int]]:
    return zip(partitions[chosen].tolist(), offsets[chosen].tolist(), strict=True)


def _mark_written(
    topic_id: str, partitions: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any], *, written: Written, fates: Any
) -> None:
    for row, place in enumerate(zip(partitions.tolist(), offsets.tolist(), strict=True)):
        outcome = written.get((topic_id, *place))
        if outcome is not None:
            fates[row] = _FATE_BEFORE[outcome]


def _claims(topic_id: str, marks: pa.Table) -> Claims:
    return Claims(
        topic_id,
        fixed(marks, "digest"),
        fixed(marks, "listener"),
        fixed(marks, "payload"),
        marks.column("partition").to_numpy(),
        marks.column("offset").to_numpy(),
    )


def _count(
    topic_id: str, partitions: np.ndarray[Any, Any], fates: np.ndarray[Any, Any], counts: dict[Partition, Counter[str]]
) -> None:
    every = len(Fate)
    cells = np.bincount(partitions.astype(np.int64) * every + fates)
    for cell in np.flatnonzero(cells).tolist():
        partition, fate = divmod(cell, every)
        into = counts[Partition(topic_id, partition)]
        into[_OUTCOME[Fate(fate)]] += int(cells[cell])
        if fate == Fate.CONFLICT:
            into["event_id_conflicts"] += int(cells[cell])
        if fate == Fate.ERASED:
            into["erased"] += int(cells[cell])


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
        **{name: counts[name] for name in ("stored", "duplicate", "dead_lettered", "event_id_conflicts", "erased")},
    }
