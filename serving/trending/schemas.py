"""What `GET /trending` answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

Window = Literal["1h", "24h"]


class TrendingItem(BaseModel):
    """An item of the chart."""

    item_id: str = Field(description="The item, with its kind.", examples=["track:4iV5W9uYEdYUVa79Axb7Rh"])
    name: str | None = Field(None, description="Its name, if the catalogue knows it.")
    kind: str = Field(description="track, artist or album.")
    rank: int = Field(description="Place among what was asked for, from 1.")
    previous_rank: int | None = Field(None, description="Place among its kind at the tick before, if it had one.")
    score: float = Field(description="What the chart is ordered by.")
    listeners: int = Field(description="Different listeners within the window.")
    events: int = Field(description="Events within the window.")


class TrendingAnswer(BaseModel):
    """The chart of a window, as of its last tick."""

    window: Window = Field(description="Length of the window.")
    as_of: datetime | None = Field(description="End of the window; null before the first tick.")
    age_seconds: float | None = Field(description="How old the chart is; null before the first tick.")
    degraded: bool = Field(description="Whether the chart is older than it should be, or the lake does not answer.")
    items: list[TrendingItem] = Field(description="Items, best first; empty if nothing was played.")
