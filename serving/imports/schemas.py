"""What the endpoints of imports answer."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Kind(StrEnum):
    """What a file holds."""

    SPOTIFY = "spotify"
    LASTFM = "lastfm"
    LISTENBRAINZ = "listenbrainz"
    CSV = "csv"
    RADIO = "radio"
    KAGGLE_TRACKS = "kaggle_tracks"


class ImportAnswer(BaseModel):
    """How far an import is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "import_id": "7e1f6d1c-3a51-4a6e-9d0c-3f1d8c1b9a11",
                "kind": "spotify",
                "file_name": "my_spotify_data.zip",
                "status": "running",
                "position": 40000,
                "accepted": 38950,
                "rejected": 12,
                "skipped": 1038,
                "created_at": "2026-01-01T10:00:00Z",
                "updated_at": "2026-01-01T10:00:02Z",
            }
        }
    )

    import_id: UUID = Field(description="Its id: the same file of the same user has the same one.")
    kind: Kind = Field(description="What the file holds.")
    file_name: str = Field(description="Its name, as it was given.")
    status: Literal["queued", "running", "done", "failed"] = Field(
        description="`queued`: nobody works on it yet. `running`: somebody does, or did when it was killed. `done`. "
        "`failed`: `error` says why, and it can be resumed."
    )
    position: int = Field(description="Records of the file that are done with, whatever became of them.")
    accepted: int = Field(description="Of them, those that the broker has, or the tables.")
    rejected: int = Field(description="Of them, those that are none; each is kept with the reason.")
    skipped: int = Field(description="Of them, those that are something else, such as podcasts.")
    error: str | None = Field(None, description="Why it failed, in one sentence.")
    created_at: datetime = Field(description="When it was handed in.")
    updated_at: datetime = Field(description="When it last went on.")
