"""The files of an export: one file, the files of a folder, or the members of a zip archive, read in pieces.

Archives are never unpacked to disk. One that would grow beyond all measure, or whose names lead out of it, is refused
before anything of it is read.
"""

from __future__ import annotations

import codecs
import hashlib
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator

CHUNK: Final = 1 << 20
"""Bytes read at a time."""

MAX_LINE: Final = 1 << 20
"""Longest line; what is longer is cut, and then no valid record any more."""

MAX_RATIO: Final = 200
"""Highest compression of a member: listening histories reach 10 to 30, a bomb more than 1000."""

MAX_MEMBERS: Final = 10_000
MAX_UNPACKED: Final = 20 << 30
"""Bytes of all members together."""

_SMALL: Final = 1 << 20
"""A member up to here may be compressed as well as it likes."""

_BOMS: Final = (
    # UTF-32's begins like UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"),
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One file of an export.

    Attributes:
        name: its path within the export.
        open: opens it for reading bytes.
    """

    name: str
    open: Callable[[], IO[bytes]]


@contextmanager
def parts(path: Path, wanted: re.Pattern[str], *, kind: str) -> Iterator[list[Part]]:
    """Give the files of an export in order of their names.

    Args:
        path: a file of any name, or a folder or zip archive, of which the files whose own names match are taken.
        wanted: what the whole name of a file must match.
        kind: for the error.

    Raises:
        ConfigurationError: it does not exist, is empty, holds no such file, or is an archive that must not be opened.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and wanted.fullmatch(file.name))
        yield _some([_file(file, str(file.relative_to(path))) for file in files], path, wanted, kind)
        return
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist: give a file, a folder or a zip archive")
    if path.stat().st_size == 0:
        raise ConfigurationError(f"{path.name} is empty")
    if not zipfile.is_zipfile(path):
        yield [_file(path, path.name)]
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ConfigurationError(f"{path.name} is a damaged zip archive: {error}") from error
    with archive:
        members = _safe(archive, path.name)
        found = sorted(name for name in members if wanted.fullmatch(PurePosixPath(name).name))
        yield _some([_member(archive, name) for name in found], path, wanted, kind)


def _file(path: Path, name: str) -> Part:
    return Part(name, lambda: path.open("rb"))


def _member(archive: zipfile.ZipFile, name: str) -> Part:
    return Part(name, lambda: archive.open(name))


def _some(found: list[Part], path: Path, wanted: re.Pattern[str], kind: str) -> list[Part]:
    if not found:
        raise ConfigurationError(f"{path.name} holds no file of kind {kind}: their names match {wanted.pattern}")
    return found


def _safe(archive: zipfile.ZipFile, name: str) -> list[str]:
    """Return the names of the members that are files.

    Raises:
        ConfigurationError: the archive is encrypted, a bomb, or names paths outside it.
    """
    members = [info for info in archive.infolist() if not info.is_dir()]
    if len(members) > MAX_MEMBERS:
        raise ConfigurationError(f"{name} has {len(members)} members, at most {MAX_MEMBERS} are read")
    for info in members:
        place = PurePosixPath(info.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
            raise ConfigurationError(f"{name} is refused: it names a path outside itself")
        if info.flag_bits & 1:
            raise ConfigurationError(f"{name} is encrypted: unpack it first")
        if info.file_size > _SMALL and info.file_size > MAX_RATIO * info.compress_size:
            raise ConfigurationError(f"{name} is refused: a member would grow more than {MAX_RATIO}-fold")
    if sum(info.file_size for info in members) > MAX_UNPACKED:
        raise ConfigurationError(f"{name} is refused: unpacked it has more than {MAX_UNPACKED >> 30} GiB")
    return [info.filename for info in members]


def chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's content in pieces, as UTF-8 and without a byte order mark; bytes that are no text stay."""
    first = stream.read(CHUNK)
    encoding = next((name for mark, name in _BOMS if first.startswith(mark)), None)
    if encoding is None:
        yield first
        while piece := stream.read(CHUNK):
            yield piece
        return
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape" if encoding == "utf-8-sig" else "replace")
    piece = first
    while piece:
        yield decoder.decode(piece).encode(errors="surrogateescape")
        piece = stream.read(CHUNK)
    yield decoder.decode(b"", final=True).encode(errors="surrogateescape")


def lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's lines with their ends; one longer than `MAX_LINE` loses what is behind that."""
    rest, full = b"", False
    for piece in chunks(stream):
        *ended, rest = (rest + piece).split(b"\n")
        for place, line in enumerate(ended):
            if not (place == 0 and full):
                yield line[:MAX_LINE] + b"\n"
        full = full and not ended
        if len(rest) > MAX_LINE:
            if not full:
                yield rest[:MAX_LINE] + b"\n"
            rest, full = b"", True
    if rest and not full:
        yield rest


def sha256(path: Path) -> str:
    """Return the digest of a file, or of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while piece := stream.read(CHUNK):
                digest.update(piece)
    return digest.hexdigest()
