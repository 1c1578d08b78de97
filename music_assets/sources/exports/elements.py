"""The objects of a JSON array, or of a file with one a line, each as its bytes: memory is that of one object.

A regular expression finds where an object ends, as fast as an incremental parser would, and unlike one it bounds how
large and how deep an object may be, keeps its bytes, and goes on behind one that is not JSON.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Final

from music_assets.sources.exports.files import chunks, lines
from music_assets.sources.plays import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ELEMENT: Final = 1 << 20
"""Bytes of the largest object: a play has less than two thousand."""

_DEPTH: Final = 12
_STRING: Final = r'"(?:[^"\\]++|\\.)*+"'
_SHOWN: Final = 2_000

BETWEEN: Final = re.compile(rb"[\s,\[\]}]*+")
"""What stands around the objects of a plain array, and the rest of one whose brackets do not match."""

_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError)
"""What a damaged archive says in the middle of a member."""


def _nested(depth: int) -> str:
    inner = rf'[^{{}}\[\]"]++|{_STRING}' + (f"|{_nested(depth - 1)}" if depth else "")
    return rf"[{{\[](?:{inner})*+[}}\]]"


_OBJECT: Final = re.compile(_nested(_DEPTH).encode(), re.DOTALL)

Element = tuple[bytes, Refusal | None]
"""An object's bytes, or the beginning of what is none and why; after that nothing of the file can be read."""


def array(stream: IO[bytes], between: re.Pattern[bytes] = BETWEEN) -> Iterator[Element]:
    """Yield the objects of a JSON document.

    Args:
        stream: the document.
        between: matches what stands between the objects wanted, which may be wrappers around them.
    """
    buffer, place, pieces, ended = b"", 0, chunks(stream), False
    while True:
        gap = between.match(buffer, place)
        start = gap.end() if gap else place
        found = _OBJECT.match(buffer, start)
        if found is not None and found.end() < len(buffer):
            place = found.end()
            yield found.group(), None
            continue
        if ended or len(buffer) - start > MAX_ELEMENT:
            break
        try:
            piece = next(pieces, None)
        except _DAMAGE:
            yield (
                buffer[start : start + _SHOWN],
                Refusal(None, "is damaged: the archive cannot be unpacked from here on"),
            )
            return
        ended = piece is None
        # One byte more than the document has: an object that ends with it is then not taken for a cut one.
        buffer, place = buffer[start:] + (b"\n" if piece is None else piece), 0
    if start < len(buffer):
        why = "is cut off, or is nothing that a play could be" if ended else f"is larger than {MAX_ELEMENT} bytes"
        yield buffer[start : start + _SHOWN], Refusal(None, f"{why}; nothing behind it is read")


def each_line(stream: IO[bytes]) -> Iterator[Element]:
    """Yield the lines of a file that are not blank."""
    found = lines(stream)
    while True:
        try:
            line = next(found, None)
        except _DAMAGE:
            yield b"", Refusal(None, "is damaged: the archive cannot be unpacked from here on")
            return
        if line is None:
            return
        if stripped := line.strip():
            yield stripped, None
