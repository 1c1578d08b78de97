"""Names of the files of a table without a log: a file's number is that of its commit."""

from __future__ import annotations

from typing import Final

_DIGITS: Final = 12
_SUFFIX: Final = ".parquet"


def name_of(number: int) -> str:
    """Return the name of a commit's file."""
    return f"{number:0{_DIGITS}}{_SUFFIX}"


def number_of(name: str) -> int:
    """Return the number of a commit by its file's name."""
    return int(name.removesuffix(_SUFFIX))


FIRST: Final = name_of(0)
"""The file that makes a table."""
