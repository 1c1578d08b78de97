"""What the health endpoints answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from serving.dependency import State


class DependencyHealth(BaseModel):
    """A part behind the API."""

    state: State = Field(description="`up`, `down`, or `unknown` before the first check.")
    since: datetime = Field(description="Since when.")
    detail: str | None = Field(None, description="Why it is down.")


class ModelHealth(BaseModel):
    """The model that serves."""

    version: str | None = Field(None, description="The bundle; absent before the first release.")
    created_at: datetime | None = Field(None, description="When it was made.")
    error: str | None = Field(None, description="Why a newer one does not serve.")


class SpoolHealth(BaseModel):
    """The events that wait on disk."""

    events: int = Field(description="How many wait.")
    limit: int = Field(description="How many may; beyond, requests are answered with 503.")


class HealthAnswer(BaseModel):
    """State of the API and of each part behind it."""

    status: Literal["ok", "degraded"] = Field(description="`degraded`: it serves, but not all that it could.")
    dependencies: dict[str, DependencyHealth] = Field(description="The parts behind the API by name.")
    model: ModelHealth = Field(description="The model that serves.")
    spool: SpoolHealth = Field(description="The events that wait on disk.")


class LiveAnswer(BaseModel):
    """The process answers."""

    status: Literal["live"] = Field("live", description="Always `live`.")


class ReadyAnswer(BaseModel):
    """Whether requests should be sent here."""

    status: Literal["ready", "degraded", "starting"] = Field(
        description="`degraded` is ready too: events are spooled and answers less personal. `starting` is not ready."
    )
    missing: list[str] = Field(description="What is not done yet; empty when ready.")
    degraded: list[str] = Field(description="Parts that do not answer now.")
