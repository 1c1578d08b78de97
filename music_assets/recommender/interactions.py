"""Who heard what when: the recommender's only input, read from the warehouse in bounded memory."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, LiteralString

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from scipy import sparse

from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import psycopg
    from numpy.typing import NDArray

    from music_assets.recommender.item_features import ItemFeatures

_QUERY: Final = """
copy (
    select user_id, item_id, (extract(epoch from listened_at) * 1000000)::bigint
    from marts.fct_listens
) to stdout (format csv)
"""
_NAMES: Final = """
select artist_id, artist_name from marts.dim_artist where artist_name is not null
union all
select album_id, album_name from marts.dim_album where album_name is not null
union all
select track_id, track_name from marts.dim_track where track_name is not null
"""
_COLUMNS: Final = {"user_id": pa.string(), "item_id": pa.string(), "listened_at": pa.int64()}


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """Listens with the vocabularies of who and what, both sorted, so that the same listens give the same object.

    Attributes:
        users: listener ids.
        items: item ids.
        user: per listen the index into `users`, int32.
        item: per listen the index into `items`, int32.
        time: per listen microseconds since 1970 in UTC, int64.
        features: what the catalogue knows of items, heard or not, if somebody asked it.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.int64]
    features: ItemFeatures | None = None

    def __len__(self) -> int:
        return len(self.time)

    @cached_property
    def counts(self) -> Any:
        """Listens per listener and item: CSR, shape (users, items), float32."""
        ones = np.ones(len(self), dtype=np.float32)
        matrix = sparse.csr_matrix((ones, (self.user, self.item)), shape=(len(self.users), len(self.items)))
        matrix.sum_duplicates()
        return matrix

    @cached_property
    def listeners(self) -> NDArray[np.int64]:
        """Distinct listeners per item, shape (items,)."""
        return _listeners(self.counts)

    @cached_property
    def latest_first(self) -> Any:
        """The counts, each listener's items in the order of their last listen, the latest first: CSR, not sorted."""
        return self.latest_first_of(np.arange(len(self.users)))

    def latest_first_of(self, users: NDArray[np.int64]) -> Any:
        """Return the rows of `latest_first` of some listeners: what others heard is not even looked at.

        Args:
            users: rows of `counts`, ascending.
        """
        row_of = np.full(len(self.users), -1, dtype=np.int64)
        row_of[users] = np.arange(len(users))
        theirs = row_of[self.user] >= 0
        row = row_of[self.user[theirs]]
        return latest_first(row, self.item[theirs], self.time[theirs], (len(users), len(self.items)))

    def before(self, cutoff: int) -> Interactions:
        """Return the listens before a time, with the vocabularies of that time: what came later leaves no trace."""
        keep = self.time < cutoff
        users, user = _present(self.users, self.user[keep])
        items, item = _present(self.items, self.item[keep])
        return replace(self, users=users, items=items, user=user, item=item, time=self.time[keep])

    def of_listeners(self, users: NDArray[np.bool_]) -> Interactions:
        """Return the listens of some listeners, with the vocabularies of all.

        Args:
            users: which, bool, shape (users,).
        """
        keep = users[self.user]
        return replace(self, user=self.user[keep], item=self.item[keep], time=self.time[keep])

    def save(self, folder: Path) -> None:
        """Write the listens below a folder, which must exist."""
        np.savez(folder / "listens.npz", user=self.user, item=self.item, time=self.time)
        (folder / "vocabulary.json").write_text(json.dumps({"users": self.users, "items": self.items}), "utf-8")

    @classmethod
    def open(cls, folder: Path) -> Interactions:
        """Read what `save` wrote.

        Raises:
            UnavailableError: nothing was saved there.
        """
        if not (folder / "vocabulary.json").exists():
            raise UnavailableError("there are no interactions yet: materialise recommender/interactions first")
        names = json.loads((folder / "vocabulary.json").read_text("utf-8"))
        with np.load(folder / "listens.npz", allow_pickle=False) as arrays:
            return cls(users=tuple(names["users"]), items=tuple(names["items"]), **arrays)

    @classmethod
    def collect(cls, batches: Iterable[pa.RecordBatch]) -> Interactions:
        """Build from batches of (user_id, item_id, listened_at): text, text, microseconds or a timestamp."""
        users, items = _Vocabulary(), _Vocabulary()
        user, item, time = [], [], []
        for batch in batches:
            user.append(users.encode(batch.column("user_id")))
            item.append(items.encode(batch.column("item_id")))
            time.append(_microseconds(batch.column("listened_at")))
        return cls(
            users=users.sorted,
            items=items.sorted,
            user=users.ranks[_joined(user, np.int32)],
            item=items.ranks[_joined(item, np.int32)],
            time=_joined(time, np.int64),
        )


@dataclass(frozen=True)
class Counted:
    """Listens without who and when: enough for the models that do not look at time.

    Attributes:
        items: item ids, in the order of the columns.
        counts: listens per listener and item: CSR float32, shape (listeners, items).
    """

    items: tuple[str, ...]
    counts: Any

    @cached_property
    def listeners(self) -> NDArray[np.int64]:
        """Distinct listeners per item, shape (items,)."""
        return _listeners(self.counts)


def latest_first(row: NDArray[np.int64], item: NDArray[Any], time: NDArray[np.int64], shape: tuple[int, int]) -> Any:
    """Count listens, each row's items in the order of their last listen, the latest first: CSR float32, not sorted.

    Args:
        row: per listen.
        item: per listen.
        time: per listen, of any origin.
        shape: rows and items.
    """
    size = max(shape[1], 1)
    pairs, where, counts = np.unique(row * size + item, return_inverse=True, return_counts=True)
    last = np.full(len(pairs), np.iinfo(np.int64).min)
    np.maximum.at(last, where, time)
    row, item = np.divmod(pairs, size)
    order = np.lexsort((item, -last, row))
    ends = np.searchsorted(row, np.arange(shape[0] + 1))
    return sparse.csr_matrix((counts[order].astype(np.float32), item[order], ends), shape=shape)


def _listeners(counts: Any) -> NDArray[np.int64]:
    return np.bincount(counts.indices, minlength=counts.shape[1]).astype(np.int64)


def read_listens(connection: psycopg.Connection[Any]) -> Iterator[pa.RecordBatch]:
    """Stream `marts.fct_listens` as Arrow batches: one row per listen, time in microseconds since 1970."""
    yield from read_copy(connection, _QUERY, _COLUMNS)


def read_copy(
    connection: psycopg.Connection[Any],
    query: LiteralString,
    kinds: Mapping[str, pa.DataType],
    given: Mapping[str, Any] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Stream what a `copy (…) to stdout (format csv)` gives as Arrow batches of these columns.

    Args:
        connection: to the warehouse.
        query: with `%(name)s` where something is given.
        kinds: names and types of the columns.
        given: what stands for the names.
    """
    with connection.cursor() as cursor, cursor.copy(query, given) as copy:
        source = io.BufferedReader(_CopyStream(copy), 1 << 20)
        try:
            yield from csv.open_csv(
                source,
                read_options=csv.ReadOptions(column_names=list(kinds), block_size=1 << 22),
                parse_options=csv.ParseOptions(newlines_in_values=True),
                convert_options=csv.ConvertOptions(column_types=dict(kinds)),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error):
                raise


def read_names(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Return item id to the name of the artist, album or track, for the items that have one."""
    with connection.cursor() as cursor:
        return dict(cursor.execute(_NAMES).fetchall())


class _CopyStream(io.RawIOBase):
    """A COPY as a file: libpq hands out a row at a time, the parser wants blocks."""

    def __init__(self, copy: psycopg.Copy) -> None:
        self._copy = copy
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        parts, size = [self._rest], len(self._rest)
        while size < len(buffer) and (row := self._copy.read()):
            parts.append(bytes(row))
            size += len(row)
        data = b"".join(parts)
        self._rest = data[len(buffer) :]
        taken = data[: len(buffer)]
        buffer[: len(taken)] = taken
        return len(taken)


class _Vocabulary:
    """Numbers for names in the order of their first sight, and their ranks in sorted order."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def encode(self, names: pa.Array) -> NDArray[np.int32]:
        encoded = pc.dictionary_encode(names)
        codes = [self._codes.setdefault(name, len(self._codes)) for name in encoded.dictionary.to_pylist()]
        taken: NDArray[np.int32] = np.asarray(codes, dtype=np.int32)[encoded.indices.to_numpy(zero_copy_only=False)]
        return taken

    @property
    def sorted(self) -> tuple[str, ...]:
        return tuple(sorted(self._codes))

    @property
    def ranks(self) -> NDArray[np.int32]:
        ranks = np.empty(len(self._codes), dtype=np.int32)
        for rank, name in enumerate(self.sorted):
            ranks[self._codes[name]] = rank
        return ranks


def _present(names: tuple[str, ...], numbers: NDArray[np.int32]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the names that are used, and the numbers as places among these."""
    used = np.zeros(len(names), dtype=bool)
    used[numbers] = True
    place = (np.cumsum(used) - 1).astype(np.int32)
    return tuple(names[number] for number in np.flatnonzero(used).tolist()), place[numbers]


def _microseconds(column: pa.Array) -> NDArray[np.int64]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64())
    values: NDArray[np.int64] = column.to_numpy(zero_copy_only=False)
    return values


def _joined(parts: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(parts).astype(kind, copy=False) if parts else np.empty(0, dtype=kind)
