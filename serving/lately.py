"""What came lately, and no more of it than fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections import OrderedDict

K = TypeVar("K")
V = TypeVar("V")


def keep(held: OrderedDict[K, V], key: K, value: V, *, most: int) -> None:
    """Keep a value as the latest, and drop the oldest beyond so many."""
    held[key] = value
    held.move_to_end(key)
    while len(held) > most:
        held.popitem(last=False)
