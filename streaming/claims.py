"""Which position holds an event_id: the memory that makes "stored once" hold for ever.

The index is a cache of silver: it is brought up to date from silver's rows when the process starts, rebuilt when
it is lost, and written only after the ledger. So an unfinished batch never holds a claim: its events are judged
again as if they had not been seen, and what it did store is read back from silver first.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from rocksdict import Options, Rdict, WriteBatch

from streaming.ledger import Partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from streaming.parse import Row

_VALUE: Final = struct.Struct("<22siqqq")
_END_PREFIX: Final = b"\x00"
"""Begins the key of a partition's end; a claim's key begins with a topic's name, which never holds it."""


class Verdict(StrEnum):
    """What a valid event's position is."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    """A duplicate whose payload differs from the one that is stored."""
    OTHER_LISTENER = "other_listener"


class Claim(NamedTuple):
    """One event at one position; hashes are 64 bits of BLAKE2b."""

    event_id: str
    position: tuple[str, int, int]
    listener: int
    payload: int


@dataclass(frozen=True)
class Judged:
    """Verdicts in the order of the claims, and what the index must remember once they are in the ledger."""

    verdicts: list[Verdict]
    new: dict[bytes, bytes] = field(repr=False)


def hashes(row: Row) -> tuple[int, int]:
    """Return the hashes of a row's listener and of its whole payload.

    Fields without a value do not count, so that an optional field added later changes no old hash.
    """
    payload = msgspec.msgpack.encode({name: value for name, value in row.items() if value is not None})
    return _hash(row["user_id"].encode()), _hash(payload)


def _hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)


class ClaimIndex:
    """The claims of every topic, on disk.

    Args:
        path: folder of the index; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = self._open()

    def _open(self) -> Rdict:
        self._path.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(create_if_missing=True)
        return Rdict(str(self._path), options)

    def close(self) -> None:
        """Release the folder."""
        self._db.close()

    def clear(self) -> None:
        """Forget everything."""
        self._db.close()
        shutil.rmtree(self._path)
        self._db = self._open()

    def ends(self) -> dict[Partition, int]:
        """Return, by partition, the offset up to which the index knows silver."""
        ends: dict[Partition, int] = {}
        pairs: Iterator[tuple[bytes, bytes]] = self._db.items(from_key=_END_PREFIX)  # type: ignore[assignment]
        for key, value in pairs:
            if not key.startswith(_END_PREFIX):
                break
            topic_id, _, partition = key[1:].decode().rpartition("/")
            ends[Partition(topic_id, int(partition))] = int.from_bytes(value, "little")
        return ends

    def judge(self, topic: str, claims: Iterable[Claim]) -> Judged:
        """Decide what each event is, the earlier of two in `claims` first.

        The first position holds an event_id. The same position again is a replay and counts as stored.
        """
        every = list(claims)
        keys = [_key(topic, claim.event_id) for claim in every]
        known: Sequence[bytes | None] = self._db.get(keys) if keys else []  # type: ignore[arg-type,assignment]
        new: dict[bytes, bytes] = {}
        verdicts = []
        for claim, key, stored in zip(every, keys, known, strict=True):
            holder = stored or new.get(key)
            if holder is None:
                new[key] = _pack(claim)
                verdicts.append(Verdict.STORED)
            else:
                verdicts.append(_verdict(claim, holder))
        return Judged(verdicts, new)

    def add(self, claims: Mapping[bytes, bytes], ends: Mapping[Partition, int]) -> None:
        """Remember claims and the offsets up to which they reach, all or none."""
        batch = WriteBatch(raw_mode=True)
        for key, value in claims.items():
            batch.put(key, value)
        for at, end in ends.items():
            batch.put(_END_PREFIX + f"{at.topic_id}/{at.partition}".encode(), end.to_bytes(8, "little"))
        self._db.write(batch)

    def load(self, topic: str, claims: Iterator[Claim]) -> int:
        """Remember what silver holds; return how many claims there were."""
        count = 0
        batch = WriteBatch(raw_mode=True)
        for claim in claims:
            batch.put(_key(topic, claim.event_id), _pack(claim))
            count += 1
            if len(batch) >= 50_000:
                self._db.write(batch)
                batch = WriteBatch(raw_mode=True)
        self._db.write(batch)
        return count


def _key(topic: str, event_id: str) -> bytes:
    return f"{topic}\x00{event_id}".encode()


def _pack(claim: Claim) -> bytes:
    topic_id, partition, offset = claim.position
    return _VALUE.pack(topic_id.encode(), partition, offset, claim.listener, claim.payload)


def _verdict(claim: Claim, holder: bytes) -> Verdict:
    topic_id, partition, offset, listener, payload = _VALUE.unpack(holder)
    if (topic_id.rstrip(b"\x00").decode(), partition, offset) == claim.position:
        return Verdict.STORED
    if listener != claim.listener:
        return Verdict.OTHER_LISTENER
    return Verdict.DUPLICATE if payload == claim.payload else Verdict.CONFLICT
