"""A small world of two tastes, as bundles, histories, charts and names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import write_deltalake

from music_assets.recommender import bundle
from music_assets.recommender.bundle import Contents
from music_assets.recommender.models.content import Content
from music_assets.recommender.models.ease import Ease
from music_assets.recommender.shelf import stocked
from streaming.lake import Lake
from streaming.tables import LEDGER, TRENDING_1H, silver
from tests.recommender.worlds import features, listens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from serving.settings import Settings
    from streaming.tables import Table

EVEN = [f"artist:{number:02d}" for number in range(0, 20, 2)]


def release(root: Path, *, newcomers: int = 0, contexts: Mapping[str, Sequence[str]] | None = None) -> str:
    """Write a bundle of a world in which each listens to even or to odd artists, and let it serve.

    Of so many newcomers, which nobody has heard, the tags say whether they are even.
    """
    world = listens(
        (f"u{user:02d}", f"artist:{item:02d}", user + item)
        for user in range(20)
        for item in range(20)
        if user % 2 == item % 2 and user != item
    )
    model = Ease(strength=1).fit(world)
    known = [f"artist:{number:02d}" for number in range(20 + newcomers)]
    tagged = features(
        (item, group, feature, 1)
        for item in known
        for group, feature in (("tag", str(int(item[-2:]) % 2)), ("released", "2024"))
    )
    contents = Contents(
        model=model, holdout=model, recipe="ease", settings={}, metrics={"ndcg@10": 0.5}, cutoff=1, data_until=2,
        contexts=contexts or {},
        content=stocked(Content(), replace(world, features=tagged)),
    )  # fmt: skip
    version = bundle.write(root, contents)
    bundle.promote(root, version)
    return version


def chart(
    settings: Settings, scores: dict[str, float], *, as_of: datetime | None = None, table: Table = TRENDING_1H
) -> None:
    """Write a chart as the stream does."""
    tick = as_of or datetime.now(UTC)
    rows = [
        {
            "as_of": tick, "item_id": item, "item_kind": item.partition(":")[0], "rank": rank,
            "previous_rank": None, "score": score, "listeners": 1, "events": 2,
        }
        for rank, (item, score) in enumerate(scores.items(), start=1)
    ]  # fmt: skip
    _write(settings, table, rows)


def artists(settings: Settings, genres: dict[str, str]) -> None:
    """Write artists of the catalogue with their genres."""
    names(settings, {item: item for item in genres}, genres)


def names(settings: Settings, known: dict[str, str], genres: dict[str, str] | None = None) -> None:
    """Write artists of the catalogue."""
    now = datetime.now(UTC)
    rows = [
        {
            "item_id": item, "name": name, "genre": (genres or {}).get(item), "schema_version": 1,
            "kafka_topic_id": "t", "kafka_partition": 0,
            "kafka_offset": offset, "ingested_at": now,
        }
        for offset, (item, name) in enumerate(known.items())
    ]  # fmt: skip
    _write(settings, silver("catalog_artists"), rows)


def _write(settings: Settings, table: Table, rows: list[dict[str, object]]) -> None:
    lake = Lake(settings.storage)
    lake.create(table)
    path = str(lake.storage.folder / table.id)
    write_deltalake(path, pa.Table.from_pylist(rows, schema=table.schema), mode="overwrite")


def ledger(settings: Settings) -> None:
    """Write a batch to the ledger."""
    row = dict.fromkeys(LEDGER.schema.names)
    numbers = {field.name: 0 for field in LEDGER.schema if pa.types.is_integer(field.type)}
    texts = {field.name: "x" for field in LEDGER.schema if pa.types.is_string(field.type)}
    _write(settings, LEDGER, [row | numbers | texts | {"committed_at": datetime.now(UTC)}])
