"""`GET /ledger`."""

from __future__ import annotations

import asyncio

from deltalake.exceptions import DeltaError
from fastapi import APIRouter
from pydantic import BaseModel, Field

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, needs
from serving.parts import Api
from serving.problems import responses
from streaming import ledger
from streaming.errors import TimeoutExpiredError, UnavailableError

router = APIRouter(tags=["operations"], route_class=GuardedRoute)

_SECONDS = 5.0


class TopicTotals(BaseModel):
    """Outcomes of a topic's messages: received = stored + duplicate + dead_lettered."""

    received: int = Field(description="Messages read from the topic.")
    stored: int = Field(description="Messages that became a row.")
    duplicate: int = Field(description="Messages whose event id another message holds.")
    dead_lettered: int = Field(description="Messages that break their contract, kept with the reason.")
    event_id_conflicts: int = Field(description="Duplicates that say something else than the message that was stored.")


class LedgerAnswer(BaseModel):
    """Outcomes by topic."""

    topics: dict[str, TopicTotals] = Field(description="Totals by topic, since the first message.")


@router.get(
    "/ledger",
    summary="What became of every message",
    responses=responses(503),
    openapi_extra=needs(Scope.READ, whole=True),
)
async def totals(api: Api) -> LedgerAnswer:
    """Count, by topic, what the stream received and what became of it."""
    try:
        async with asyncio.timeout(_SECONDS):
            found = await asyncio.to_thread(ledger.totals, api.lake)
    except TimeoutError as error:
        raise TimeoutExpiredError(f"the ledger was not read within {_SECONDS:g} s; try again later") from error
    except (DeltaError, OSError) as error:
        raise UnavailableError("the ledger cannot be read now; try again later") from error
    return LedgerAnswer(
        topics={
            topic: TopicTotals(
                received=of.received, stored=of.stored, duplicate=of.duplicate,
                dead_lettered=of.dead_lettered, event_id_conflicts=of.event_id_conflicts,
            )
            for topic, of in found.items()
        }
    )  # fmt: skip
