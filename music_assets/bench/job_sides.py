"""The product's own jobs, each on a lake of its own, held against the known truth after every run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from music_assets.bench.history import silver_rows
from music_assets.bench.sample import Outcome, phase_sums, told_batches
from music_assets.bench.workload import KINDS, World, anchor_now
from streaming.errors import IntegrityError
from streaming.jobs import run_once
from streaming.lake import Lake
from streaming.ledger import problems, totals
from streaming.sinks.delta import Write, append_arrow
from streaming.tables import silver
from streaming.topics import event_topic, event_topics
from streaming.topics.admin import describe

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from music_assets.bench.workload import Truth
    from music_assets.settings import Settings

SILVER: Final = "stream_kafka_to_silver"
TRENDING: Final = "stream_trending_to_gold"
TRENDING_SPAN_SECONDS: Final = 20 * 60
"""Events of the trending side lie this close before their anchor, so that they stay in the hour for 40 minutes."""


def python_settings(settings: Settings) -> Settings | None:
    """Return settings with the Python engine, None where it is not there."""
    try:
        return type(settings)(_env_file=None, **{**settings.model_dump(), "stream_engine": "python"})
    except ValidationError:
        return None


def fresh(settings: Settings) -> None:
    """Make an empty lake, whatever lay there: tables exist before any stream starts."""
    shutil.rmtree(settings.lake_root, ignore_errors=True)
    Lake(settings.lake_root).create_all()


def take_in(settings: Settings, spark: SparkSession | None) -> Outcome:
    """Run the silver job until it is current; the engine is the settings'."""
    with told_batches(SILVER) as batches:
        # The Python engine needs no session.
        run_once(SILVER, settings, cast("SparkSession", spark))
    return Outcome(
        rows=sum(int(batch["received"]) for batch in batches),
        batch_seconds=sum(float(batch["seconds"]) for batch in batches),
        phases=phase_sums(batches),
    )


def check(settings: Settings, truth: Truth, *, before: Truth | None = None) -> None:
    """Hold the ledger against what was sent: a fast job that does something else is no measurement.

    Args:
        settings: of the lake.
        truth: what must have become of the messages on the event topics.
        before: what the ledger held before they came.

    Raises:
        IntegrityError: the ledger does not balance, or counts something else.
    """
    lake = Lake(settings.lake_root)
    wrong = problems(lake, describe(settings.bootstrap_servers))
    if wrong:
        raise IntegrityError(f"the measured job's ledger does not balance: {wrong[0]}")
    held = totals(lake)
    for outcome in ("stored", "duplicate", "dead_lettered"):
        found = sum(getattr(held[topic.name], outcome) for topic in event_topics())
        sent = getattr(truth, outcome) + (getattr(before, outcome) if before else 0)
        if found != sent:
            raise IntegrityError(f"the measured job has {found} {outcome} where {sent} were sent")


def fill_trending(settings: Settings, rows: int) -> None:
    """Put views, clicks and listens of the last 20 minutes into silver, and the catalogue they are of."""
    fresh(settings)
    world = World(11, anchor_now(), span_seconds=TRENDING_SPAN_SECONDS)
    every = world.columns(np.arange(rows * 100 // 85 + 1000, dtype=np.int64))
    columns = every.take(every.kind != len(KINDS) - 1)
    columns = columns.take(np.arange(len(columns.numbers)) < rows)
    write = Write(expected={}, leaves={}, note={})
    for kind, event_type in enumerate(KINDS):
        table = silver(event_topic(event_type).table)
        mine = columns.take(columns.kind == kind)
        append_arrow(silver_rows(world, mine, table), table, settings.lake_root, write=write)
    songs = silver("catalog_songs")
    append_arrow(_songs(world.items).cast(songs.schema), songs, settings.lake_root, write=write)


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


def chart(settings: Settings, spark: SparkSession, *, rows: int) -> Outcome:
    """Compute the trending tables once over the rows of `fill_trending`."""
    with told_batches(TRENDING) as batches:
        run_once(TRENDING, settings, spark)
    return Outcome(
        rows=rows, batch_seconds=sum(float(batch["seconds"]) for batch in batches), phases=phase_sums(batches)
    )
