"""One recommendation."""

from __future__ import annotations

import msgspec


class Scored(msgspec.Struct, frozen=True, gc=False):
    """One recommendation: the item, its score, the model that brought it, and why, as a sentence."""

    item_id: str
    score: float
    source: str
    reason: str
