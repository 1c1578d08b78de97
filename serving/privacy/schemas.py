"""What the endpoints of privacy answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class ErasureAnswer(BaseModel):
    """How far an erasure is; done, it is the receipt. It names nobody."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "erasure_id": "0b9a1f9e-3c39-4b0e-8b5e-3f6f0c6f7c55",
                "status": "done",
                "hidden_at": "2026-06-01T10:00:00Z",
                "gone_at": {"mapping": "2026-06-01T10:00:00Z", "lake": "2026-06-01T10:00:40Z"},
                "kafka_gone_at": "2026-07-08T11:00:00Z",
                "rows": {"silver/events_listens": 812},
            }
        }
    )

    erasure_id: UUID = Field(description="The request.")
    status: Literal["queued", "running", "done", "failed"] = Field(description="`failed` is tried again by itself.")
    hidden_at: datetime = Field(description="Since when nobody finds the person any more and nothing comes in.")
    gone_at: dict[str, datetime | None] = Field(
        description="By store, when its last byte was gone or will be; null: when another message takes its key."
    )
    kafka_gone_at: datetime | None = Field(
        None, description="When the last topic's retention ends; until then it holds a random id that leads nowhere."
    )
    rows: dict[str, int] = Field(description="Rows that were removed, by table.")
    error: str | None = Field(None, description="Why the last try failed.")


class PauseAnswer(BaseModel):
    """Whether a person has paused."""

    paused: bool = Field(description="While true, nothing of theirs is taken in and nothing personal is recommended.")


class HiddenAnswer(BaseModel):
    """Whether an item is kept from a person's recommendations."""

    item_id: str = Field(description="The item, with its kind.")
    hidden: bool = Field(description="Whether it is never recommended to them.")
