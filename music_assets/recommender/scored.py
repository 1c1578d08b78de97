"""One recommendation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scored:
    """One recommendation: the item, its score, the model that brought it, and why, as a sentence."""

    item_id: str
    score: float
    source: str
    reason: str
