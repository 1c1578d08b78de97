"""Bytes of an answer to JSON values, for what real services send beside the standard."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from music_assets.sources.http import ShapeError

_BOM: Final = b"\xef\xbb\xbf"
_TRAILING_COMMA: Final = re.compile(rb'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


def read(body: bytes) -> Any:
    """Return the value of a body; a byte order mark and a comma before a closing bracket are overlooked.

    Raises:
        ShapeError: it is no JSON.
    """
    text = body.removeprefix(_BOM)
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        repaired = _TRAILING_COMMA.sub(lambda found: found[1] or b"", text)
        if repaired != text:
            return read(repaired)
        raise ShapeError(str(error)) from None


def read_object(body: bytes) -> dict[str, Any]:
    """Return the object of a body.

    Raises:
        ShapeError: it is no JSON object.
    """
    value = read(body)
    if not isinstance(value, dict):
        raise ShapeError(f"expected an object, got {type(value).__name__}")
    return value
