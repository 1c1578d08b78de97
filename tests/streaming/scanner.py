"""Looks for planted values in every file a part leaves behind, decoded as well as raw.

Takes nothing on trust: a Parquet file counts whether a table names it or not, a segment whether its records can still
be read or not. A file that cannot be decoded is an error, because nobody knows what is in it.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import struct
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from rocksdict import Options, Rdict

from streaming.pieces import to_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Findings = dict[str, set[bytes]]
"""Needles found, by file."""

_BATCH_HEADER = 61
_CODECS = {1: "gzip", 3: "lz4", 4: "zstd"}


def scan(folder: Path, needles: Collection[bytes]) -> Findings:
    """Return which files below a folder hold which needles."""
    found: Findings = defaultdict(set)
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        for content in _contents(path):
            found[str(path.relative_to(folder))].update(each for each in needles if each in content)
    for index in sorted(folder.rglob("rocksdb")):
        for content in _claims(index):
            found[f"{index.relative_to(folder)} (decoded)"].update(each for each in needles if each in content)
    return {name: held for name, held in found.items() if held}


def _contents(path: Path) -> Iterator[bytes]:
    raw = path.read_bytes()
    yield raw
    if path.suffix == ".parquet":
        yield from _parquet(path)
    elif path.suffix in {".json", ".crc"}:
        yield from _json(raw)
    elif path.suffix == ".gz":
        yield gzip.decompress(raw)
    elif re.fullmatch(r"\d{20}\.log(\.deleted)?", path.name):
        yield from _segment(raw)


def _parquet(path: Path) -> Iterator[bytes]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield to_bytes(file.read_row_group(group))
            columns = file.metadata.row_group(group)
            for column in range(columns.num_columns):
                statistics = columns.column(column).statistics
                if statistics is not None and statistics.has_min_max:
                    yield from (_as_bytes(statistics.min), _as_bytes(statistics.max))
        yield repr(file.metadata.metadata).encode()


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _json(raw: bytes) -> Iterator[bytes]:
    """The lines with their escapes undone, those of JSON within JSON too."""
    for line in raw.splitlines():
        try:
            yield from _strings(json.loads(line))
        except ValueError:
            continue


def _strings(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from (key.encode(errors="surrogatepass"), *_strings(each))
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, str):
        yield value.encode(errors="surrogatepass")
        if value.startswith("{"):
            yield from _json(value.encode(errors="surrogatepass"))


def _segment(raw: bytes) -> Iterator[bytes]:
    """The records of each batch of a Kafka segment (message format 2)."""
    at = 0
    while at + _BATCH_HEADER <= len(raw):
        (length,) = struct.unpack_from(">i", raw, at + 8)
        if length <= 0:
            return  # preallocated
        (attributes,) = struct.unpack_from(">h", raw, at + 21)
        payload = raw[at + _BATCH_HEADER : at + 12 + length]
        codec = attributes & 7
        yield payload if codec == 0 else _decompress(payload, codec)
        at += 12 + length


def _decompress(payload: bytes, codec: int) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(payload), _CODECS[codec]) as stream:
        return bytes(stream.read())


def _claims(index: Path) -> Iterator[bytes]:
    """Keys and values of a claim index, read from a copy: opening one changes it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "rocksdb"
        shutil.copytree(index, copy)
        database = Rdict(str(copy), Options(raw_mode=True))
        for key, value in database.items():
            yield bytes(key) + b"\x00" + bytes(value)  # type: ignore[arg-type]
        database.close()
