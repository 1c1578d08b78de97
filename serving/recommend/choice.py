"""What a rung of the ladder offers, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from serving.histories import History
    from serving.recommend.listed import Listed
    from serving.recommend.schemas import Rung

ANONYMOUS: Final = "anonymous"
"""Listener id of an exposure to somebody without one: a reading makes no identity."""


@dataclass(frozen=True, kw_only=True)
class Listener:
    """What is known of who asks; `degraded` when something is not known only because a part is away."""

    listener_id: str
    history: History
    degraded: bool


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a rung of the ladder offers; `propensities` belong to the items, absent where nothing was drawn."""

    rung: Rung
    as_of: datetime
    items: Listed
    propensities: Sequence[float] | None = None
