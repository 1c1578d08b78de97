"""What the recommendation endpoints answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Rung = Literal["personal", "trending", "popular"]


class RecommendedItem(BaseModel):
    """One recommendation and why it is there."""

    item_id: str = Field(description="The item, with its kind.", examples=["artist:51"])
    name: str | None = Field(None, description="Its name, if the catalogue knows it.")
    rank: int = Field(description="Place in this answer, from 1.")
    score: float = Field(description="What its source ordered it by; not comparable between sources.")
    reason: str = Field(description="Why, as a sentence for the listener.")
    source: str = Field(description="What brought it: a model's name, `trending`, `popularity`, `context`, `heard`.")


class RecommendationAnswer(BaseModel):
    """Recommendations for a listener; what follows from them names the `recommendation_id`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "recommendation_id": "2b6f0cc9-04d1-4d3f-8f2b-6d9c3a9f7a11",
                "rung": "personal",
                "model_version": "20260102T030405000000Z-ease",
                "as_of": "2026-01-02T03:04:05Z",
                "degraded": False,
                "items": [
                    {
                        "item_id": "artist:51",
                        "name": "Duran Duran",
                        "rank": 1,
                        "score": 0.42,
                        "reason": "because you played Depeche Mode",
                        "source": "ease",
                    }
                ],
            }
        }
    )

    recommendation_id: str = Field(description="Identity of this answer; send it with the events that follow from it.")
    rung: Rung = Field(
        description="Step of the ladder: `personal` from the listener's history, `trending` in the last hour, "
        "`popular` with all listeners."
    )
    model_version: str | None = Field(None, description="The bundle that serves; absent before the first one.")
    as_of: datetime = Field(description="When the model, or on `trending` the chart, was made.")
    degraded: bool = Field(description="Whether a part that did not answer made this less personal than it could be.")
    items: list[RecommendedItem] = Field(description="Items, best first; fewer than asked for if there are no more.")


class SimilarAnswer(BaseModel):
    """Items that the listeners of an item play as well."""

    item_id: str = Field(description="The item that was asked about, with its kind.")
    name: str | None = Field(None, description="Its name, if the catalogue knows it.")
    model_version: str = Field(description="The bundle that serves.")
    as_of: datetime = Field(description="When the model was made.")
    degraded: bool = Field(description="Whether an older model serves, because a newer one was refused.")
    items: list[RecommendedItem] = Field(description="Items, most similar first.")
