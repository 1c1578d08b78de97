"""How deep a message may nest its brackets.

Without a bound of its own its fate would depend on how much of Python's stack its reader has used.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

MAX_DEPTH: Final = 64

_STRINGS: Final = re.compile(rb'"(?:[^"\\]+|\\.?)*(?:"|\Z)', re.DOTALL)
"""Ends at the end of the text at the latest: a quote that is never closed must not be tried from every place."""

_STEPS: Final = bytes(2 if byte in b"[{" else 0 for byte in range(256))
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


def too_deep(value: bytes) -> bool:
    """Whether brackets outside strings are nested more than `MAX_DEPTH` deep."""
    if value.count(b"[") + value.count(b"{") <= MAX_DEPTH:
        return False
    steps = _STRINGS.sub(b"", value).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(step - 1 for step in steps), default=0) > MAX_DEPTH
