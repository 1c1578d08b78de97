"""`GET /freshness`."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from deltalake.exceptions import DeltaError
from fastapi import APIRouter
from pydantic import BaseModel, Field

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, needs
from serving.freshness.lineage import STEPS, judge
from serving.parts import Api
from streaming.errors import UnavailableError
from streaming.tables import LEDGER

if TYPE_CHECKING:
    from serving.parts import Parts

router = APIRouter(tags=["operations"], route_class=GuardedRoute)

_SECONDS: Final = 3.0
_COMMITS: Final = 20
_WRITES: Final = frozenset({"WRITE", "MERGE", "STREAMING UPDATE"})
_STAGING: Final = "select max(loaded_at) as at from ops.load_watermark"
_MARTS: Final = "select max(evaluated_at) as at from ops.quality_results where asset like 'marts/%'"


class StepFreshness(BaseModel):
    """A step of the way from a message to an answer."""

    step: str = Field(description="`silver`, `trending_1h`, `trending_24h`, `staging`, `marts` or `model`.")
    as_of: datetime | None = Field(description="When it last did its work; null: never, or it cannot be asked now.")
    age_seconds: float | None = Field(description="How long ago that was.")
    allowed_seconds: float = Field(description="How old it may be.")
    late: bool = Field(description="Whether it is older.")
    blame: str | None = Field(description="The first late step on the way to it; null if it is in time.")
    sentence: str = Field(description="All of it for a person, with where to look.")


class FreshnessAnswer(BaseModel):
    """Every step, and the one to look at first."""

    late: bool = Field(description="Whether any step is late.")
    sentence: str = Field(description="What to look at first.")
    as_of: datetime = Field(description="When this was found out.")
    degraded: bool = Field(description="Whether a store could not be asked; its steps then count as late.")
    steps: list[StepFreshness] = Field(description="Steps in the order in which data passes them.")


@router.get("/freshness", summary="Why is this stale?", openapi_extra=needs(Scope.READ, whole=True))
async def freshness(api: Api) -> FreshnessAnswer:
    """How old each step is, and for a late one the step above it that is to blame."""
    lake, staging, marts = await asyncio.gather(_lake(api), _newest(api, _STAGING), _newest(api, _MARTS))
    bundle, charts = api.models.current, api.trending.value
    as_of = {
        "silver": lake[0], "staging": staging[0], "marts": marts[0], "model": bundle.created_at if bundle else None,
        "trending_1h": charts["1h"].as_of, "trending_24h": charts["24h"].as_of,
    }  # fmt: skip
    now = datetime.now(UTC)
    steps = [StepFreshness(**asdict(judge(name, as_of, now))) for name in STEPS]
    first = next((step for step in steps if step.late), None)
    return FreshnessAnswer(
        late=first is not None, sentence=first.sentence if first else "everything is in time", as_of=now,
        degraded=not (lake[1] and staging[1] and marts[1]), steps=steps,
    )  # fmt: skip


async def _newest(api: Parts, statement: str) -> tuple[datetime | None, bool]:
    """Return a time, and whether the database could be asked."""
    try:
        rows: list[dict[str, Any]] = await api.warehouse.rows(statement)
    except UnavailableError:
        return None, False
    return rows[0]["at"], True


async def _lake(api: Parts) -> tuple[datetime | None, bool]:
    def read() -> datetime | None:
        if not api.lake.exists(LEDGER):
            return None
        # The ledger's commits are the batches'; upkeep's own change nothing.
        written = (each for each in api.lake.open(LEDGER).history(_COMMITS) if each["operation"] in _WRITES)
        return next((datetime.fromtimestamp(each["timestamp"] / 1000, UTC) for each in written), None)

    try:
        async with asyncio.timeout(_SECONDS):
            return await asyncio.to_thread(read), True
    except (TimeoutError, DeltaError, OSError, UnavailableError):
        return None, False
