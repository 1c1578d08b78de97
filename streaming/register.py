"""Where something of a person lies in the event log and the lake, how it leaves, and how long that takes.

One list for people and for the tests: a column, topic or folder that is in neither of the two lists below fails a test,
so that nobody adds a place for personal data without saying how it is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One place.

    Attributes:
        store: a layer of the lake or one of its tables, `kafka`, `redis`, a table of the schema `identity`, or a folder
            below `_checkpoints`.
        field: the column or part.
        holds: what of a person.
        way: how it is removed.
        delay: how long after the request its last byte is gone.
    """

    store: str
    field: str
    holds: str
    way: str
    delay: str


_ROW: Final = "the row leaves by its position, its file is written anew without it, the old file is deleted"
_AT_ONCE: Final = "within the request"
_RETENTION: Final = "the topic's retention, one segment (7 days) and an hour"


def _rows(store: str, **fields: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(store=store, field=field, holds=holds, way=_ROW, delay=_AT_ONCE) for field, holds in fields.items()
    )


def _of_the_person(**tables: str) -> tuple[Entry, ...]:
    """Tables whose rows go with the mapping, or with the erasure's end; then their files are written anew."""
    way = "the row leaves with the mapping, or when the erasure ends; the table is written anew without it"
    return tuple(
        Entry(store=f"identity/{table}", field="*", holds=holds, way=way, delay=_AT_ONCE)
        for table, holds in tables.items()
    )


REGISTER: Final[tuple[Entry, ...]] = (
    Entry(store="kafka", field="key", holds="listener id", way="expires; unlinkable at once", delay=_RETENTION),
    Entry(store="kafka", field="value", holds="the whole event", way="expires; unlinkable at once", delay=_RETENTION),
    Entry(store="kafka", field="headers", holds="trace id", way="expires; unlinkable at once", delay=_RETENTION),
    *_rows("bronze", key="listener id", value="the whole event", headers="trace id"),
    *_rows("deadletter", key="listener id", value="whatever was sent", headers="trace id", detail="may quote a value"),
    *_rows(
        "silver",
        user_id="listener id",
        event_id="a client's id of one act",
        item_id="what was played",
        item_ids="what was shown",
        source="which client",
        sources="why each item was a candidate",
        reasons="text made for one listener",
        arm="which arm of an experiment the listener is in",
        context="free text",
        recommendation_id="which exposure led here",
    ),
    Entry(
        store="redis",
        field="features",
        holds="what a listener did lately, under the listener's id",
        way="the keys are deleted",
        delay=_AT_ONCE,
    ),
    *_of_the_person(
        listener="the user id, and the random id that all else is kept under",
        api_keys="names of keys, and whom they are bound to",
        accounts="the name to sign in with, the hash of the password, and whose account it is",
        sessions="when the page was used under an account",
        hidden_items="what is not to be recommended",
        erasures="listener id",
    ),
    Entry(
        store="identity/tombstones",
        field="user_hash",
        holds="a hash of the user id with a random value of this database, whose mapping to a listener is gone",
        way="stays on purpose: it keeps the person out",
        delay="until `music listener readmit`",
    ),
    Entry(
        store="lake/tombstones",
        field="listener_hash",
        holds="64 bits of a hash of the random id, whose mapping to a person is gone",
        way="stays on purpose: it keeps the listener out",
        delay="never",
    ),
    Entry(
        store="_checkpoints/stream_kafka_to_silver/claims/rocksdb",
        field="claims",
        holds="hashes of event id, listener and payload",
        way="deleted, flushed, compacted, and the index opened anew for a manifest without them",
        delay=_AT_ONCE,
    ),
    Entry(
        store="_checkpoints/stream_kafka_to_silver/claims/bloom",
        field="bits",
        holds="four bits of a hash for each event id, shared with those of others",
        way="stay: they say only that an id may have been seen",
        delay="when the index is made anew",
    ),
    Entry(
        store="gold",
        field="item_id",
        holds="no listener; a chart counts their plays until it is computed again",
        way="the next tick replaces the chart; its older versions go with the vacuum of upkeep",
        delay="one tick for the chart, upkeep's retention for its older versions",
    ),
)  # fmt: skip
"""Every place that can hold a listener's id, a hash of it, what they did, or free text."""

IMPERSONAL: Final[dict[str, frozenset[str]]] = {
    "bronze": frozenset({"kafka_topic_id"}),
    "silver": frozenset(
        {
            "kafka_topic_id", "event_type", "model_version", "rung", "experiment",
            # The catalogue: facts about items.
            "name", "genre", "country", "artist_id", "album_id", "release_date",
        }
    ),
    "deadletter": frozenset({"kafka_topic_id", "reason", "field"}),
    "gold": frozenset({"item_kind", "window"}),
    "lake/ledger": frozenset({"query", "topic", "kafka_topic_id"}),
    "lake/erased_positions": frozenset({"topic", "kafka_topic_id", "outcome", "erasure_id"}),
    "lake/tombstones": frozenset({"erasure_id"}),
    "lake/redriven": frozenset({"topic", "kafka_topic_id", "new_topic_id"}),
}  # fmt: skip
"""Columns that could hold text by their type and hold nothing of a person, by store."""
