"""Which position holds an event_id: the memory that makes "stored once" hold for ever.

The index is a cache of silver: it is brought up to date from silver's rows when the process starts, rebuilt when
it is lost, and written only after the ledger. So an unfinished batch never holds a claim: its events are judged
again as if they had not been seen, and what it did store is read back from silver first.

It holds digests, not ids. A filter in front of it knows most new ids at sight; only the others are looked up.
"""

from __future__ import annotations

import base64
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from rocksdict import Options, Rdict, WriteBatch

from streaming.bloom import BloomFilter, halves, repeated
from streaming.columns import DIGEST_BYTES
from streaming.ledger import Partition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ENDS: Final = b"ends"
_FILES: Final = b"files"
_FORMAT: Final = b"format"
_VERSION: Final = b"3"
_HOLDER: Final = np.dtype(
    [("topic", "V16"), ("partition", "<i4"), ("offset", "<i8"), ("listener", "V8"), ("payload", "V8")]
)
_PLACE: Final = ["topic", "partition", "offset"]
_CHUNK: Final = 200_000
_LOOKS: Final = 1000
_LOOKERS: Final = 8


class Verdict(IntEnum):
    """What a valid event's position is."""

    STORED = 0
    DUPLICATE = 1
    CONFLICT = 2
    """A duplicate whose payload differs from the one that is stored."""
    OTHER_LISTENER = 3


class Claims(NamedTuple):
    """Events of one topic in the order in which they came, a column each.

    Attributes:
        topic_id: the broker's id of the topic.
        digests: of event id and topic, `V16`.
        listeners: hash of who, `V8`.
        payloads: hash of the whole, `V8`.
        partitions: where.
        offsets: where.
    """

    topic_id: str
    digests: np.ndarray[Any, Any]
    listeners: np.ndarray[Any, Any]
    payloads: np.ndarray[Any, Any]
    partitions: np.ndarray[Any, np.dtype[np.int32]]
    offsets: np.ndarray[Any, np.dtype[np.int64]]

    def holders(self) -> np.ndarray[Any, Any]:
        """The index's values."""
        values = np.empty(len(self.digests), _HOLDER)
        values["topic"] = np.frombuffer(_topic_bytes(self.topic_id), "V16")[0]
        values["partition"], values["offset"] = self.partitions, self.offsets
        values["listener"], values["payload"] = self.listeners, self.payloads
        return values

    def take(self, rows: np.ndarray[Any, Any]) -> Claims:
        """Some of them."""
        return Claims(self.topic_id, *(column[rows] for column in self[1:]))


class ClaimIndex:
    """The claims of every topic, on disk.

    Args:
        path: folder of the index; made when missing. One of another format is made anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()
        if self._db.get(_FORMAT) != _VERSION:
            self.clear()

    def _open(self) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(create_if_missing=True)
        self._db = Rdict(str(self._path / "rocksdb"), options)
        self._bloom = BloomFilter(self.filter_folder)
        if not self._bloom.trusted:
            for digests in self._digests():
                self._bloom.add(halves(digests))
            self._bloom.trust()

    @property
    def filter_folder(self) -> Path:
        """Folder of the filter, into which other processes of this machine may look."""
        return self._path / "bloom"

    def close(self) -> None:
        """Release the folder."""
        self._db.close()

    def clear(self) -> None:
        """Forget everything."""
        self._db.close()
        shutil.rmtree(self._path)
        self._open()
        self._db[_FORMAT] = _VERSION

    def ends(self) -> dict[Partition, int]:
        """Return, by partition, the offset up to which the index knows silver."""
        held = self._db.get(_ENDS)
        return {Partition(topic_id, number): end for topic_id, number, end in json.loads(held)} if held else {}

    def files(self) -> set[str]:
        """Return silver's data files all of whose rows the index holds."""
        held = self._db.get(_FILES)
        return set(json.loads(held)) if held else set()

    def know(self, files: set[str]) -> None:
        """Remember that the index holds all rows of these data files, instead of those it remembered before."""
        self._db[_FILES] = json.dumps(sorted(files)).encode()

    def judge(self, claims: Claims) -> np.ndarray[Any, np.dtype[np.int8]]:
        """Return the `Verdict` of each event, the earlier of two first.

        The first position holds an event_id. The same position again is a replay and counts as stored.
        """
        verdicts = np.zeros(len(claims.digests), np.int8)
        keys = halves(claims.digests)
        suspects = np.flatnonzero(self._bloom.maybe(keys) | repeated(keys))
        if not len(suspects):
            return verdicts
        some = claims.take(suspects)
        verdicts[suspects] = _verdicts(some.holders(), self._first(some))
        return verdicts

    def _first(self, claims: Claims) -> np.ndarray[Any, Any]:
        """Who holds each id: the index's word, otherwise the first of them with this id."""
        keys = claims.digests.tolist()
        known = self._look_up(keys)
        first: dict[bytes, int] = {}
        own = [
            -1 if held else first.setdefault(key, row) for row, (key, held) in enumerate(zip(keys, known, strict=True))
        ]
        holders: np.ndarray[Any, Any] = claims.holders()[np.array(own)]
        held = np.array([value is not None for value in known])
        holders[held] = np.frombuffer(b"".join(value for value in known if value is not None), _HOLDER)
        return holders

    def _look_up(self, keys: list[bytes]) -> list[bytes | None]:
        """Return the value of each key. A look waits for the disk more than it works, so several go at once."""
        if len(keys) <= _LOOKS:
            return self._get(keys)
        parts = [keys[at : at + _LOOKS] for at in range(0, len(keys), _LOOKS)]
        with ThreadPoolExecutor(_LOOKERS, thread_name_prefix="claims-look") as pool:
            return [value for values in pool.map(self._get, parts) for value in values]

    def _get(self, keys: list[bytes]) -> list[bytes | None]:
        return self._db.get(keys)  # type: ignore[arg-type, return-value]

    def add(self, claims: list[Claims], ends: Mapping[Partition, int]) -> None:
        """Remember claims and the offsets up to which they reach, all or none."""
        batch = WriteBatch(raw_mode=True)
        for unsorted in claims:
            each = unsorted.take(_order(unsorted.digests))
            self._bloom.add(halves(each.digests))
            for key, value in zip(each.digests.tolist(), _bytes(each.holders()), strict=True):
                batch.put(key, value)
        known = {**self.ends(), **ends}
        batch.put(_ENDS, json.dumps([[at.topic_id, at.partition, end] for at, end in known.items()]).encode())
        self._db.write(batch)

    def load(self, claims: Claims) -> int:
        """Remember what silver holds; return how many claims there were."""
        self.add([claims], {})
        return len(claims.digests)

    def forget(self, digests: np.ndarray[Any, Any]) -> None:
        """Drop claims for good, from the files too; the filter may go on suspecting them."""
        batch = WriteBatch(raw_mode=True)
        for key in digests.tolist():
            batch.delete(key)
        self._db.write(batch)
        self.settle()

    def settle(self) -> None:
        """Put the files in order now. After a bulk load the database would do it beside the next batches, and begin
        again at every start that was stopped before it was done."""
        self._db.flush()
        self._db.compact_range(None, None)

    def _digests(self) -> Iterator[np.ndarray[Any, Any]]:
        chunk: list[bytes] = []
        for key in self._db.keys():  # noqa: SIM118 - a database, not a dict
            if len(key) == DIGEST_BYTES:  # type: ignore[arg-type]
                chunk.append(key)  # type: ignore[arg-type]
            if len(chunk) >= _CHUNK:
                yield as_digests(chunk)
                chunk = []
        if chunk:
            yield as_digests(chunk)


def as_digests(digests: list[bytes]) -> np.ndarray[Any, Any]:
    """Return digests as one array."""
    return np.frombuffer(b"".join(digests), f"V{DIGEST_BYTES}")


def _order(digests: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The database's own order, in which it takes keys at twice the speed."""
    return np.argsort(halves(digests)[:, 0].byteswap())


def _bytes(values: np.ndarray[Any, Any]) -> list[bytes]:
    return values.view(f"V{_HOLDER.itemsize}").tolist()  # type: ignore[no-any-return]


def _verdicts(claims: np.ndarray[Any, Any], holders: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int8]]:
    verdicts = np.full(len(claims), Verdict.DUPLICATE, np.int8)
    verdicts[claims["payload"] != holders["payload"]] = Verdict.CONFLICT
    verdicts[claims["listener"] != holders["listener"]] = Verdict.OTHER_LISTENER
    verdicts[claims[_PLACE] == holders[_PLACE]] = Verdict.STORED
    return verdicts


def _topic_bytes(topic_id: str) -> bytes:
    """The 128 bits of Kafka's id, which it writes in URL-safe base64."""
    return base64.urlsafe_b64decode(topic_id + "==")
