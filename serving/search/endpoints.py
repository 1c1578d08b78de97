"""`GET /search`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from music_assets.keys import Scope
from serving.access.rules import GuardedRoute, needs
from serving.parts import Api
from serving.problems import responses
from streaming.events import NO_CONTROL, ItemKind

router = APIRouter(tags=["catalogue"], route_class=GuardedRoute)


class FoundItem(BaseModel):
    """An item whose name is like the text."""

    item_id: str = Field(description="The item, with its kind.")
    name: str = Field(description="Its name.")
    kind: str = Field(description="track, artist or album.")
    artist_name: str | None = Field(None, description="Name of its main artist, if known.")
    score: float = Field(description="Likeness, 0 to 100; 100 is the name itself.")


class SearchAnswer(BaseModel):
    """Items by likeness of their names."""

    items: list[FoundItem] = Field(description="Items, the likest first; empty if nothing is like the text.")
    as_of: datetime | None = Field(description="When the catalogue was last looked at; null before that.")
    degraded: bool = Field(description="Whether the catalogue could not be looked at lately.")


@router.get(
    "/search",
    summary="Find items by name",
    responses=responses(422),
    openapi_extra=needs(Scope.READ),
)
async def search(
    api: Api,
    q: Annotated[str, Query(min_length=1, max_length=100, pattern=NO_CONTROL, description="A name, or nearly one.")],
    kind: Annotated[ItemKind | None, Query(description="Only tracks, artists or albums; absent: all.")] = None,
    k: Annotated[int, Query(ge=1, le=50, description="How many items, 1 to 50.")] = 10,
) -> SearchAnswer:
    """Items whose names are like a text, whatever its case, accents, punctuation and a letter or two."""
    names, details = api.names.value, api.details.value
    items: list[FoundItem] = []
    for hit in api.search.value.find(q, kind=kind.value if kind else None, k=k):
        detail = details.get(hit.item_id)
        own = hit.item_id.partition(":")[0]
        artist = names.get(detail.artist_id or "") if detail is not None and own != ItemKind.ARTIST else None
        items.append(FoundItem(item_id=hit.item_id, name=hit.name, kind=own, artist_name=artist, score=hit.score))
    lake = api.search.dependency
    return SearchAnswer(items=items, as_of=api.search.read_at, degraded=lake.state == "down")
