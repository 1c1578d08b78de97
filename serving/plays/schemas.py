"""What the endpoints of plays answer."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Play(BaseModel):
    """Somebody played something; `item_id` and `played_at` tell one play of theirs from every other."""

    event_id: str = Field(description="Of the event; where it is not known, the one that an event without an id gets.")
    item_id: str = Field(description="The item, with its kind.")
    name: str | None = Field(None, description="Its name; null: the catalogue does not know it.")
    artist: str | None = Field(None, description="Of a track or album: its artist's name, if known.")
    played_at: datetime = Field(description="When.")
    ms_played: int | None = Field(None, description="How long; null: not known, or not yet.")
    source: str | None = Field(None, description="Which client; null: not known, or not yet.")


class RecentAnswer(BaseModel):
    """What somebody played lately."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "user_id": "user1",
                "plays": [
                    {
                        "event_id": "web-7f3a", "item_id": "track:t1", "name": "Talisman", "artist": "Air",
                        "played_at": "2026-06-01T10:00:00Z", "ms_played": 185000, "source": "web",
                    }
                ],
                "as_of": "2026-06-01T10:00:02Z", "degraded": False,
            }
        }
    )  # fmt: skip

    user_id: str = Field(description="The user, as in the events.")
    plays: list[Play] = Field(description="The newest first.")
    as_of: datetime | None = Field(description="When what stands behind this was current; null: nothing is built yet.")
    degraded: bool = Field(description="Whether a store did not answer: the newest plays, or the older ones, lack.")


class UserRow(BaseModel):
    """A user that something is known of."""

    user_id: str = Field(description="The user, as in the events.")


class UsersAnswer(BaseModel):
    """Users by name."""

    model_config = ConfigDict(json_schema_extra={"example": {"users": [{"user_id": "user1"}]}})

    users: list[UserRow] = Field(description="In the order of their names.")
