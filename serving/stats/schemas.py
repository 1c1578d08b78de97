"""What `/users/{user_id}/stats` answers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

Range = Literal["week", "month", "year", "all"]


class TopItem(BaseModel):
    """An item that somebody played most."""

    item_id: str = Field(description="The item, with its kind.")
    name: str | None = Field(None, description="Its name, if the catalogue knows it.")
    artist_name: str | None = Field(None, description="Of a track: its main artist's name.")
    listens: int = Field(description="Plays.")


class Day(BaseModel):
    """A day where the listener lives."""

    day: date = Field(description="The day.")
    listens: int = Field(description="Plays.")
    minutes: float = Field(description="Minutes played, as far as known.")


class StatsAnswer(BaseModel):
    """How somebody listened within a range of days."""

    zone: str = Field(description="Time zone in which days and hours are counted.")
    first_day: date | None = Field(description="First day of the range; null: since ever.")
    last_day: date = Field(description="Last day of the range.")
    listens: int = Field(description="Plays.")
    minutes: float = Field(description="Minutes played, as far as known.")
    artists: int = Field(description="Different artists.")
    tracks: int = Field(description="Different tracks.")
    skips: int = Field(description="Plays that were skips.")
    recommended: int = Field(description="Plays that a recommendation led to.")
    top_artists: list[TopItem] = Field(description="Artists that were played most.")
    top_tracks: list[TopItem] = Field(description="Tracks that were played most.")
    days: list[Day] = Field(description="Days with a play, the newest 400.")
    hours: list[int] = Field(description="Plays by hour of the day, 24 numbers from midnight.")
    weekdays: list[int] = Field(description="Plays by day of the week, 7 numbers from Monday.")
    as_of: datetime | None = Field(description="When the warehouse last built something; null: nothing yet.")
    degraded: bool = Field(description="Always false: what cannot be told truly is a 503.")
