"""The rows of a CSV file, each on its own: a broken one is refused and the next one is read."""

from __future__ import annotations

import csv
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Final

from music_assets.sources.exports.files import lines
from music_assets.sources.plays import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError)

Row = tuple[list[str], Refusal | None]
"""Cells of a row, and why they are none."""


def rows(stream: IO[bytes], delimiter: str = ",") -> Iterator[Row]:
    """Yield the rows of a file that are not blank; bytes that are no UTF-8 make the row they are in a refused one."""
    reader = csv.reader((line.decode(errors="surrogateescape") for line in lines(stream)), delimiter=delimiter)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield [], Refusal(None, f"is no row of CSV: {error}")
            continue
        except _DAMAGE:
            yield [], Refusal(None, "is damaged: the archive cannot be unpacked from here on")
            return
        if cells is None:
            return
        if not any(cells):
            continue
        is_text = all(cell.isascii() or _is_text(cell) for cell in cells)
        yield cells, None if is_text else Refusal(None, "is not UTF-8")


def _is_text(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def header_of(cells: list[str]) -> tuple[str, ...]:
    """Return the names of a header row as they are compared: without spaces around and in lower case."""
    return tuple(cell.strip().lower() for cell in cells)
