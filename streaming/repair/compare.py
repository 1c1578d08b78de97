"""Two lakes held against each other: which rows of silver and of the dead letters one has and the other has not.

Compared are the columns that say something of the event, as a multiset: position and time of intake are ours. Only
hashes are in memory, and of many rows only a share at a time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from streaming.staging import silver_of
from streaming.tables import POSITION, dead_letters
from streaming.topics import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streaming.lake import Lake
    from streaming.tables import Table

_AT_ONCE: Final = 4_000_000
"""Rows whose hashes are in memory: 16 bytes each, on both sides."""
_EXAMPLES: Final = 5
_OURS: Final = frozenset({*POSITION.names, "ingested_at"})

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Place = tuple[str, int, int]
"""Topic id, partition and offset."""

_encode: Final = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs in one table.

    Attributes:
        table_id: which.
        kind: `added` is only in the new one, `removed` only in the old one, `changed` has another content in the new.
        count: how many rows.
        first: positions of the first few, by topic id, partition and offset.
    """

    table_id: str
    kind: str
    count: int
    first: list[Place]


def differences(old: Lake, new: Lake) -> list[Difference]:
    """Return what differs between two lakes; empty means that silver and the dead letters say the same."""
    found: list[Difference] = []
    for topic in topics().values():
        silver = silver_of(topic.name)
        business = [name for name in silver.schema.names if name not in _OURS]
        found += _table(old, new, silver, key=list(silver.key), columns=business)
        letters = dead_letters(topic.name)
        found += _table(old, new, letters, key=list(letters.key), columns=[*letters.key, "reason", "field", "value"])
    return found


def _table(old: Lake, new: Lake, table: Table, *, key: list[str], columns: list[str]) -> Iterator[Difference]:
    shares = 1 + max(old.count(table), new.count(table)) // _AT_ONCE
    kinds: dict[str, list[Hashes]] = {"added": [], "removed": [], "changed": []}
    for share in range(shares):
        before, after = (_hashes(lake, table, key, columns, shares, share) for lake in (old, new))
        gone, come = _beyond(before, after), _beyond(after, before)
        moved = np.isin(come[:, 0], gone[:, 0])
        kinds["changed"].append(come[moved])
        kinds["added"].append(come[~moved])
        kinds["removed"].append(gone[~np.isin(gone[:, 0], come[:, 0])])
    for kind, parts in kinds.items():
        rows = np.concatenate(parts)
        if len(rows):
            lake = old if kind == "removed" else new
            yield Difference(
                table_id=table.id,
                kind=kind,
                count=len(rows),
                first=_places(lake, table, key, columns, set(rows[:, 1].tolist())),
            )


def _beyond(left: Hashes, right: Hashes) -> Hashes:
    """The rows that `left` has and `right` has not, or has less often."""
    values, at, counts = np.unique(left[:, 1], return_index=True, return_counts=True)
    others, other_counts = np.unique(right[:, 1], return_counts=True)
    held = np.zeros(len(values), np.int64)
    if len(others):
        place = np.minimum(np.searchsorted(others, values), len(others) - 1)
        held = np.where(others[place] == values, other_counts[place], 0)
    more = np.maximum(counts - held, 0)
    return np.repeat(left[at], more, axis=0)


def _hashes(lake: Lake, table: Table, key: list[str], columns: list[str], shares: int, share: int) -> Hashes:
    parts: list[Hashes] = [np.zeros((0, 2), np.uint64)]
    for _, rows in _hashed(lake, table, key, columns):
        parts.append(rows[rows[:, 0] % np.uint64(shares) == share])
    return np.concatenate(parts)


def _places(lake: Lake, table: Table, key: list[str], columns: list[str], wanted: set[int]) -> list[Place]:
    found: list[Place] = []
    for batch, rows in _hashed(lake, table, key, columns):
        hit = np.flatnonzero(np.isin(rows[:, 1], np.fromiter(wanted, np.uint64, len(wanted))))
        places = batch.select(POSITION.names).take(hit).to_pylist()
        found = sorted([*found, *(tuple(each.values()) for each in places)])[:_EXAMPLES]
    return found


def _hashed(lake: Lake, table: Table, key: list[str], columns: list[str]) -> Iterator[tuple[Any, Hashes]]:
    """Yield rows with two hashes each: of their key, and of all that counts."""
    needed = list(dict.fromkeys([*columns, *key, *POSITION.names]))
    dataset = lake.dataset(table)
    for batch in dataset.to_batches(columns=needed, batch_size=20_000, batch_readahead=2, fragment_readahead=1):
        values = {name: _plain(batch.column(name)) for name in {*key, *columns}}
        keys, rows = (_digests(zip(*(values[name] for name in names), strict=True)) for names in (key, columns))
        yield batch, np.stack([keys, rows], axis=1)


def _plain(column: Any) -> list[Any]:
    import pyarrow as pa

    # Instants as numbers: making a datetime of each costs more than all else.
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()  # type: ignore[no-any-return]


def _digests(rows: Iterator[tuple[Any, ...]]) -> Hashes:
    make: Callable[[bytes], Any] = lambda content: hashlib.blake2b(content, digest_size=8)  # noqa: E731
    return np.frombuffer(b"".join(make(_encode(row)).digest() for row in rows), np.uint64)
