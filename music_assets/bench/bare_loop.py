"""What a careful engineer writes without a platform: consume, validate, append to Delta, commit the offsets.

One process, one silver table, one dead-letter table; no claims, no ledger, no repeatable writes.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import msgspec
import pyarrow as pa
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from deltalake import write_deltalake

from music_assets.bench.sample import Outcome
from streaming.errors import UnavailableError
from streaming.events import EVENT_MODELS
from streaming.structs import struct_of
from streaming.tables import arrow_schema
from streaming.topics import event_topics

if TYPE_CHECKING:
    from pathlib import Path

    from confluent_kafka import Message

    from streaming.settings import Settings

_BATCH: Final = 200_000
_FETCH: Final = 20_000
_IDLE_SECONDS: Final = 20.0

_UNION: Final = pa.unify_schemas(
    [
        pa.schema([field.with_nullable(nullable=True) for field in arrow_schema(model)])
        for model in EVENT_MODELS.values()
    ]
)
_PLACE: Final = pa.schema([("topic", pa.string()), ("kafka_partition", pa.int32()), ("kafka_offset", pa.int64())])
_SILVER: Final = pa.schema([*_UNION, *_PLACE])
_DEAD: Final = pa.schema([*_PLACE, ("value", pa.binary()), ("detail", pa.string())])


def run(settings: Settings, folder: Path, *, rows: int) -> Outcome:
    """Take in `rows` messages of the event topics.

    Raises:
        UnavailableError: the broker has fewer.
    """
    decoders = {topic.name: msgspec.json.Decoder(struct_of(topic.model)) for topic in event_topics()}
    taken = 0
    with closing(_consumer(settings)) as consumer:
        while taken < rows:
            messages = _fetch(consumer, min(_BATCH, rows - taken))
            _write(folder, messages, decoders)
            consumer.commit(asynchronous=False)
            taken += len(messages)
    return Outcome(rows=taken)


def _consumer(settings: Settings) -> Consumer:
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers, "group.id": f"bench-{uuid4()}", "log_level": 0,
            "enable.auto.commit": False, "queued.max.messages.kbytes": 262_144, "queued.min.messages": 1_000_000,
            "fetch.max.bytes": 64 << 20, "max.partition.fetch.bytes": 8 << 20,
        }
    )  # fmt: skip
    consumer.assign(
        [
            TopicPartition(topic.name, number, OFFSET_BEGINNING)
            for topic in event_topics()
            for number in range(topic.partitions)
        ]
    )
    return consumer


def _fetch(consumer: Consumer, count: int) -> list[Message]:
    messages: list[Message] = []
    while len(messages) < count:
        more = consumer.consume(min(_FETCH, count - len(messages)), timeout=_IDLE_SECONDS)
        if not more:
            raise UnavailableError(f"the broker gave {len(messages)} messages of {count} within {_IDLE_SECONDS:.0f} s")
        messages += more
    return messages


def _write(folder: Path, messages: list[Message], decoders: dict[str, msgspec.json.Decoder[Any]]) -> None:
    good: list[tuple[Any, Message]] = []
    dead: list[tuple[Message, str]] = []
    for message in messages:
        try:
            good.append((decoders[message.topic() or ""].decode(message.value() or b""), message))
        except ValueError as error:
            dead.append((message, str(error)))
    events = [event for event, _ in good]
    columns = [pa.array([getattr(event, field.name) for event in events], field.type) for field in _UNION]
    silver = pa.Table.from_arrays([*columns, *_place([message for _, message in good])], schema=_SILVER)
    write_deltalake(str(folder / "silver"), silver, mode="append")
    if dead:
        values = pa.array([message.value() for message, _ in dead], pa.binary())
        details = pa.array([detail for _, detail in dead])
        rows = pa.Table.from_arrays([*_place([message for message, _ in dead]), values, details], schema=_DEAD)
        write_deltalake(str(folder / "dead"), rows, mode="append")


def _place(messages: list[Message]) -> list[pa.Array]:
    return [
        pa.array([message.topic() for message in messages], pa.string()),
        pa.array([message.partition() for message in messages], pa.int32()),
        pa.array([message.offset() for message in messages], pa.int64()),
    ]
