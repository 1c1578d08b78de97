"""The product's own jobs, each on a lake of its own, held against the known truth after every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from music_assets.bench.history import silver_rows
from music_assets.bench.sample import Outcome, phase_sums, told_batches
from music_assets.bench.workload import KINDS, World, anchor_now
from streaming.errors import ConfigurationError, IntegrityError
from streaming.events import EventType
from streaming.jobs import run_once
from streaming.lake import Lake
from streaming.ledger import problems, totals
from streaming.sinks.tables import Write, append_arrow
from streaming.tables import silver
from streaming.topics import event_topic, event_topics
from streaming.topics.admin import describe

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from music_assets.bench.workload import Truth
    from music_assets.settings import Settings
    from streaming.tables import Table

SILVER: Final = "stream_kafka_to_silver"
TRENDING: Final = "stream_trending_to_gold"
CHARTED: Final = frozenset({EventType.VIEW, EventType.CLICK, EventType.LISTEN})
"""Types of events that a chart counts."""

TRENDING_SPAN_SECONDS: Final = 20 * 60
"""Events of the trending side lie this close before their anchor, so that they stay in the hour for 40 minutes."""


def with_engine(settings: Settings, engine: str) -> Settings:
    """Return settings with another engine.

    Raises:
        ConfigurationError: there is no such engine.
    """
    try:
        return type(settings)(_env_file=None, **{**settings.model_dump(), "stream_engine": engine})
    except ValidationError as error:
        raise ConfigurationError(f"STREAM_ENGINE={engine} is not supported here: {error.errors()[0]['msg']}") from error


def fresh(settings: Settings) -> None:
    """Make an empty lake, whatever lay there: tables exist before any stream starts."""
    settings.storage.clear()
    Lake(settings.storage).create_all()


def take_in(settings: Settings, spark: SparkSession | None) -> Outcome:
    """Run the silver job until it is current; the engine is the settings'."""
    with told_batches(SILVER) as batches:
        run_once(SILVER, settings, spark)
    return Outcome(
        rows=sum(int(batch["received"]) for batch in batches),
        batch_seconds=sum(float(batch["seconds"]) for batch in batches),
        phases=phase_sums(batches),
    )


def check(settings: Settings, truth: Truth) -> None:
    """Hold the ledger against the tables, the broker and what was sent.

    A fast job that does something else is no measurement.

    Args:
        settings: of the lake.
        truth: what must have become of the messages on the event topics.

    Raises:
        IntegrityError: the ledger does not balance, or counts something else.
    """
    wrong = problems(Lake(settings.storage), describe(settings.bootstrap_servers))
    if wrong:
        raise IntegrityError(f"the measured job's ledger does not balance: {wrong[0]}")
    check_totals(settings, truth)


def check_totals(settings: Settings, truth: Truth, *, before: Truth | None = None) -> None:
    """Hold the ledger's sums against what was sent, which takes no time in a large lake.

    Args:
        settings: of the lake.
        truth: what must have become of the messages on the event topics.
        before: what the ledger held before they came.

    Raises:
        IntegrityError: it counts something else.
    """
    held = totals(Lake(settings.storage))
    for outcome in ("stored", "duplicate", "dead_lettered"):
        found = sum(getattr(held[topic.name], outcome) for topic in event_topics())
        sent = getattr(truth, outcome) + (getattr(before, outcome) if before else 0)
        if found != sent:
            raise IntegrityError(f"the measured job has {found} {outcome} where {sent} were sent")


def between_ticks(settings: Settings) -> Settings:
    """Return settings whose charts tick so seldom that none does while they are measured."""
    return settings.model_copy(update={"trending_interval_seconds": 3600, "trending_24h_interval_seconds": 86_400})


def charted_tables() -> list[Table]:
    """Return the silver tables whose events count in a chart."""
    return [silver(event_topic(kind).table) for kind in KINDS if kind in CHARTED]


def fill_trending(settings: Settings, rows: int) -> None:
    """Put views, clicks and listens of the last 20 minutes into silver, and the catalogue they are of."""
    fresh(settings)
    world = World(11, anchor_now(), span_seconds=TRENDING_SPAN_SECONDS)
    every = world.columns(np.arange(rows * 100 // 85 + 1000, dtype=np.int64))
    columns = every.take(np.isin(every.kind, [at for at, kind in enumerate(KINDS) if kind in CHARTED]))
    columns = columns.take(np.arange(len(columns.numbers)) < rows)
    write = Write(expected={}, leaves={}, note={})
    for kind, event_type in enumerate(KINDS):
        mine = columns.take(columns.kind == kind)
        if len(mine.numbers):
            table = silver(event_topic(event_type).table)
            append_arrow(silver_rows(world, mine, table), table, settings.storage, write=write)
    songs = silver("catalog_songs")
    append_arrow(_songs(world.items).cast(songs.schema), songs, settings.storage, write=write)


def _songs(items: int) -> pa.Table:
    names = silver("catalog_songs").schema
    known = {
        "item_id": pa.array([f"track:{number}" for number in range(items)]),
        "name": pa.array([f"Song {number}" for number in range(items)]),
        "artist_id": pa.array([f"artist:{number // 10}" for number in range(items)]),
        "schema_version": pa.array(np.ones(items, np.int64)),
        "kafka_topic_id": pa.array(["bench"] * items),
        "kafka_partition": pa.array(np.zeros(items, np.int32)),
        "kafka_offset": pa.array(np.arange(items)),
        "ingested_at": pa.array([anchor_now()] * items, names.field("ingested_at").type),
    }
    return pa.table({field.name: known.get(field.name, pa.nulls(items, field.type)) for field in names})


def chart(settings: Settings, spark: SparkSession | None) -> Outcome:
    """Compute every chart once, as of now."""
    with told_batches(TRENDING) as batches:
        run_once(TRENDING, settings, spark)
    rows = sum(Lake(settings.storage).count(table) for table in charted_tables())
    return Outcome(
        # Each chart reads the rows of its own window, and all of them lie in the shortest.
        rows=rows * len(batches),
        batch_seconds=sum(float(batch["seconds"]) for batch in batches),
    )
