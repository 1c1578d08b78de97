"""Messages as Kafka gives them, through Spark's tasks: staged where they are, so that rows never pass the driver."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
from pyspark.sql import functions as sf

from streaming.pieces import Piece
from streaming.staging import stage, stage_raw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Set
    from datetime import datetime
    from pathlib import Path

    from pyspark.sql import DataFrame

    from streaming.storage import Storage

_PIECE: Final = "piece binary"


def as_messages(kafka: DataFrame) -> DataFrame:
    """Return Kafka's columns under the lake's names: topic, position, time, key, value, headers.

    Headers travel as JSON: a list of structs costs five times as much on its way to Python as all else together.
    """
    return kafka.selectExpr(
        "topic", "partition AS kafka_partition", "offset AS kafka_offset", "timestamp AS kafka_timestamp",
        "key", "value", "to_json(headers) AS headers",
    )  # fmt: skip


def stage_messages(
    messages: DataFrame,
    *,
    topic_ids: Mapping[str, str],
    now: datetime,
    storage: Storage,
    claimed: Path,
    tasks: int,
) -> list[Piece]:
    """Parse every message and write it to a data file that no commit names yet.

    Args:
        messages: as `as_messages` gives them.
        topic_ids: the broker's id of each topic.
        now: when this batch is taken in.
        storage: where the lake lies.
        claimed: folder of the filter of claimed event ids, for tasks on this machine.
        tasks: how many work at it; each leaves a file per table.
    """
    work = partial(stage, topic_ids=dict(topic_ids), now=now, storage=storage, claimed=claimed)
    return _run(messages, work, tasks)


def stage_archive(
    messages: DataFrame, *, topic_ids: Mapping[str, str], forgotten: Set[bytes], storage: Storage, tasks: int
) -> list[Piece]:
    """Write every message as it came to a data file that no commit names yet.

    Args:
        messages: as `as_messages` gives them.
        topic_ids: the broker's id of each topic.
        forgotten: hashes of the listeners of whom nothing is kept.
        storage: where the lake lies.
        tasks: how many work at it.
    """
    work = partial(stage_raw, topic_ids=dict(topic_ids), forgotten=frozenset(forgotten), storage=storage)
    return _run(messages, work, tasks)


def at_positions(messages: DataFrame, topic: str, positions: list[tuple[int, int]]) -> pa.Table:
    """Return the messages of a topic at some positions of partition and offset."""
    wanted = messages.sparkSession.createDataFrame(positions, "kafka_partition int, kafka_offset long")
    here = messages.where(sf.col("topic") == sf.lit(topic))
    found = here.join(sf.broadcast(wanted), on=["kafka_partition", "kafka_offset"])
    return found.select(*messages.columns).toArrow()


def _run(messages: DataFrame, work: Any, tasks: int) -> list[Piece]:
    def encoded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for piece in work(batches):
            yield pa.RecordBatch.from_pydict({"piece": pa.array([msgspec.msgpack.encode(piece)], pa.binary())})

    found = messages.coalesce(tasks).mapInArrow(encoded, _PIECE).toArrow()
    return [msgspec.msgpack.decode(each, type=Piece) for each in found.column("piece").to_pylist()]
