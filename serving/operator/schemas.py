"""What the operator's endpoints answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

_AS_OF = "When this was found out."
_DEGRADED = "Whether a part did not answer, and an older answer stands in or something lacks."


class Dated(BaseModel):
    """An answer that says how old it is."""

    as_of: datetime = Field(description=_AS_OF)
    degraded: bool = Field(default=False, description=_DEGRADED)


class DeadLetter(BaseModel):
    """A message that breaks its contract."""

    topic: str = Field(description="Where it came in.")
    partition: int = Field(description="Partition of the topic.")
    offset: int = Field(description="Offset in the partition.")
    reason: str = Field(description="Why it is a dead letter.")
    field: str | None = Field(description="The field to blame, if one is.")
    at: datetime = Field(description="The broker's time.")
    redriven: bool = Field(description="Whether it was sent to its topic once more.")
    raw: str = Field(description="The first 2,000 characters of the value; what cannot be printed is escaped.")


class DeadLetterCount(BaseModel):
    """Dead letters of a topic by their reason."""

    topic: str = Field(description="The topic.")
    reason: str = Field(description="The reason.")
    rows: int = Field(description="How many.")


class DeadLettersAnswer(Dated):
    """A page of dead letters, and how many there are."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "deadletters": [
                    {
                        "topic": "events_listens", "partition": 0, "offset": 17, "reason": "missing_field",
                        "field": "item_id", "at": "2026-06-01T10:00:00Z", "redriven": False, "raw": "{}",
                    }
                ],
                "counts": [{"topic": "events_listens", "reason": "missing_field", "rows": 1}],
                "next": None, "as_of": "2026-06-01T10:00:02Z", "degraded": False,
            }
        }
    )  # fmt: skip

    deadletters: list[DeadLetter] = Field(description="The newest first.")
    counts: list[DeadLetterCount] = Field(description="All that are asked for, the most frequent first.")
    next: str | None = Field(description="`cursor` of the next page; null: this is the last one.")


class RedriveIn(BaseModel):
    """Which dead letters to send once more: every condition that is given holds."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"topic": "events_listens", "reason": "missing_field"}}
    )

    topic: str | None = Field(None, max_length=249, description="Only this topic's.")
    reason: str | None = Field(None, max_length=64, description="Only those for this reason.")
    since: AwareDatetime | None = Field(None, description="The broker's time, from here on: ISO 8601 with a zone.")


class RedriveAnswer(BaseModel):
    """How far a redrive is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "redrive_id": "0b9a1f9e-3c39-4b0e-8b5e-3f6f0c6f7c55", "state": "done",
                "sentence": "12 sent; left: none", "sent": 12, "topic": "events_listens", "reason": None,
                "since": None, "asked_at": "2026-06-01T10:00:00Z", "updated_at": "2026-06-01T10:00:20Z",
            }
        }
    )  # fmt: skip

    redrive_id: UUID = Field(description="The request.")
    state: Literal["asked", "running", "done", "failed"] = Field(description="`failed` is not tried again by itself.")
    sentence: str = Field(description="For a person.")
    sent: int | None = Field(description="Messages that were sent; null: it is not done.")
    topic: str | None = Field(description="As asked.")
    reason: str | None = Field(description="As asked.")
    since: datetime | None = Field(description="As asked.")
    asked_at: datetime = Field(description="When it was asked for.")
    updated_at: datetime = Field(description="When its state last changed.")


class TopicRow(BaseModel):
    """A topic as the broker holds it."""

    topic: str = Field(description="The topic.")
    partitions: int = Field(description="How many.")
    messages: int = Field(description="Offsets that are kept; of a compacted topic some of them are empty.")
    oldest: datetime | None = Field(description="The broker's time of the oldest message; null: there is none.")
    newest: datetime | None = Field(description="Of the newest.")


class TopicsAnswer(Dated):
    """Every topic."""

    topics: list[TopicRow] = Field(description="In the order of their names.")


class MessageRow(BaseModel):
    """A message of a topic; what cannot be printed is escaped."""

    partition: int = Field(description="Its partition.")
    offset: int = Field(description="Its offset.")
    timestamp: datetime | None = Field(description="The broker's time.")
    key: str | None = Field(description="Its key: a random listener id, or an item id.")
    headers: dict[str, str | None] = Field(description="Its headers.")
    value: str | None = Field(description="The first 2,000 characters of its value; null: a removal.")


class MessagesAnswer(BaseModel):
    """Messages of a topic."""

    messages: list[MessageRow] = Field(description="The newest first.")
    next: int | None = Field(
        description="With `partition`: `offset` of the messages before these; null: there are none."
    )


class StreamRow(BaseModel):
    """A streaming query, by topic where it reads several."""

    query: str = Field(description="The query.")
    topic: str | None = Field(description="The topic; null: it does not read one by one.")
    state: Literal["running", "halted", "down"] = Field(description="`halted`: a person must decide.")
    lag: int | None = Field(description="Messages that wait; null: not known.")
    last_batch_at: datetime | None = Field(description="When it last committed something.")
    halted: bool = Field(description="Whether it stands still because too many messages broke their contract.")
    sentence: str = Field(description="All of it for a person, with what to do.")


class StreamsAnswer(Dated):
    """Every streaming query."""

    queries: list[StreamRow] = Field(description="In the order in which messages pass them.")


class ReleaseRow(BaseModel):
    """A model bundle."""

    version: str = Field(description="Its name.")
    at: datetime | None = Field(description="When it was made; null: it is damaged.")
    verdict: Literal["serves", "challenger", "before", "withdrawn", "damaged", "kept"] = Field(
        description="`before`: it served before the champion."
    )
    reason: str | None = Field(description="What the gate or a person said of it, if that is known.")


class BoardRow(BaseModel):
    """A model on the leaderboard, judged on the same listeners as the others."""

    model: str = Field(description="The recipe, or the champion.")
    ndcg: float = Field(description="Mean NDCG@10.")
    low: float = Field(description="Lower end of the 95 % interval of its gain in NDCG over popularity.")
    high: float = Field(description="Upper end.")
    recall: float | None = Field(description="Mean recall@10.")
    coverage: float | None = Field(description="Share of the items that were recommended to anybody.")
    seconds: float | None = Field(description="Always null: training is not timed.")


class GateWord(BaseModel):
    """What the gate said last."""

    released: bool = Field(description="Whether the challenger was let through.")
    reason: str = Field(description="Why.")
    at: datetime = Field(description="When.")


class ModelsAnswer(Dated):
    """Models that serve, did, or wanted to."""

    champion: str | None = Field(description="The version that serves; null: none yet.")
    releases: list[ReleaseRow] = Field(description="The newest first.")
    leaderboard: list[BoardRow] = Field(description="The best first; empty before the first training.")
    gate: GateWord | None = Field(description="The gate's last word; null: none yet.")


class SourceRow(BaseModel):
    """A source of plays or facts."""

    source: str = Field(description="Its name.")
    state: Literal["ok", "silent", "recorded"] = Field(description="`recorded`: answers kept with the platform.")
    last_event_at: datetime | None = Field(description="When a look at it last ended well.")
    sentence: str = Field(description="For a person.")


class GapRow(BaseModel):
    """A time that no look at an account covers."""

    model_config = ConfigDict(populate_by_name=True)

    source: str = Field(description="The source.")
    user_id: str | None = Field(description="Whose account.")
    from_: datetime = Field(alias="from", description="Where the last covered time ends.")
    until: datetime = Field(description="Where the next one begins.")
    sentence: str = Field(description="For a person, with what to do.")


class SourcesAnswer(Dated):
    """The sources and what they missed."""

    sources: list[SourceRow] = Field(description="In the order of their names.")
    gaps: list[GapRow] = Field(description="Of the last 30 days.")
