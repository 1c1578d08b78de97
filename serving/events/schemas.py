"""What `POST /events` answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["accepted", "spooled", "rejected"]


class EventResult(BaseModel):
    """What became of one event."""

    index: int = Field(description="Place of the event in the request, from 0.")
    verdict: Verdict = Field(
        description="`accepted`: the broker has it. `spooled`: kept on disk here and sent later. `rejected`: it breaks "
        "the contract and is nowhere."
    )
    event_id: str | None = Field(
        None,
        description="Identity of the event, yours or derived. Absent if rejected, or if it can be derived only later.",
    )
    duplicate: bool | None = Field(
        None,
        description="A hint: this event id was seen within a day. It is stored once in any case. Absent: not known.",
    )
    field: str | None = Field(None, description="The field to blame, if one is.")
    error: str | None = Field(None, description="Why it is rejected, in one sentence.")
    valid: list[str] | None = Field(None, description="What would be valid there, if that can be listed.")


class IngestAnswer(BaseModel):
    """A verdict for each event of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "accepted": 1,
                "spooled": 0,
                "rejected": 1,
                "results": [
                    {
                        "index": 0,
                        "verdict": "accepted",
                        "event_id": "0f8b6d86-6f4e-5d3c-9a35-0d6f3a6f1c1e",
                        "duplicate": False,
                    },
                    {
                        "index": 1,
                        "verdict": "rejected",
                        "field": "event_type",
                        "error": "event_type must be one of view, click, rating, listen, not 'skip'",
                        "valid": ["view", "click", "rating", "listen"],
                    },
                ],
            }
        }
    )

    accepted: int = Field(description="Events that the broker has.")
    spooled: int = Field(description="Events kept on disk here until the broker takes them.")
    rejected: int = Field(description="Events that break the contract.")
    results: list[EventResult] = Field(description="One result per event, in the order of the request.")
