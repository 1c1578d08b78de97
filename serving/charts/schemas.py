"""What the charts and the catalogue answer."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

ChartKind = Literal["track", "artist"]


class ChartItem(BaseModel):
    """An item of a week's chart."""

    rank: int = Field(description="Place, from 1: most plays, then most listeners.")
    previous_rank: int | None = Field(None, description="Place in the week before, if it was played then.")
    item_id: str = Field(description="The item, with its kind.")
    name: str | None = Field(None, description="Its name, if the catalogue knows it.")
    artist_id: str | None = Field(None, description="Of a track: its main artist.")
    artist_name: str | None = Field(None, description="The artist's name.")
    listens: int = Field(description="Plays.")
    listeners: int = Field(description="Different listeners.")


class ChartAnswer(BaseModel):
    """A page of a week's chart."""

    kind: ChartKind = Field(description="What is ranked.")
    week: date = Field(description="Monday of the week, where the listeners live.")
    as_of: datetime = Field(description="When the warehouse last built something of it.")
    degraded: bool = Field(description="Whether it is an earlier answer, because the warehouse does not answer now.")
    items: list[ChartItem] = Field(description="Items in order of rank.")
    next: str | None = Field(None, description="`cursor` of the next page; absent on the last.")


class ItemAnswer(BaseModel):
    """What is known of an item."""

    item_id: str = Field(description="The item, with its kind.")
    kind: str = Field(description="track, artist or album.")
    name: str | None = Field(None, description="Its name, if the catalogue knows it.")
    artist_id: str | None = Field(None, description="Main artist.")
    artist_name: str | None = Field(None, description="The artist's name.")
    album_id: str | None = Field(None, description="Album that it is on.")
    album_name: str | None = Field(None, description="The album's title.")
    genre: str | None = Field(None, description="Main genre.")
    country: str | None = Field(None, description="Of an artist: country of origin.")
    release_date: str | None = Field(None, description="`YYYY`, `YYYY-MM` or `YYYY-MM-DD`.")
    duration_ms: int | None = Field(None, description="Length in milliseconds.")
    popularity_band: str | None = Field(None, description="`top`, `high`, `middle`, `low` or `rare`, says its source.")
    as_of: datetime | None = Field(None, description="When the warehouse last built something; absent if degraded.")
    degraded: bool = Field(description="Whether only what the catalogue of the lake knows is told.")
