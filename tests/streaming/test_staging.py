"""The first half of a batch: what goes into a file at once, and what waits for the decision."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from streaming import staging
from streaming.bloom import BloomFilter, halves
from streaming.columns import mark_of
from streaming.lake import Lake
from streaming.parse import parse
from streaming.pieces import RAW, Piece, from_bytes
from streaming.sinks.files import read_data_file
from streaming.staging import stage
from streaming.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TOPIC = "events_clicks"


def click(number: int) -> bytes:
    fields = {"event_id": f"event-{number}", "user_id": "u", "event_type": "click", "item_id": "track:1"}
    return json.dumps({**fields, "timestamp": "2026-01-01T00:00:00Z", "schema_version": 1}).encode()


def batches(values: list[bytes], size: int) -> list[pa.RecordBatch]:
    rows = [
        {
            "topic": TOPIC,
            "kafka_partition": 0,
            "kafka_offset": offset,
            "kafka_timestamp": NOW,
            "key": b"u",
            "value": value,
        }
        for offset, value in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, RAW).to_batches(max_chunksize=size)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage.local(tmp_path / "lake")
    Lake(storage).create_all()
    return storage


def offsets(rows: pa.Table) -> list[int]:
    found: list[int] = rows.column("kafka_offset").to_pylist()
    return found


def staged(values: list[bytes], storage: Storage, claimed: Path | None) -> Piece:
    [piece] = stage(batches(values, 3), topic_ids={TOPIC: "id"}, now=NOW, storage=storage, claimed=claimed)
    return piece


def remember(folder: Path, *numbers: int) -> None:
    rows = [parse(TOPIC, click(number), now=NOW) for number in numbers]
    digests = b"".join(mark_of(TOPIC, row)[0] for row in rows if isinstance(row, dict))
    claimed = BloomFilter(folder)
    claimed.add(halves(np.frombuffer(digests, "V16")))
    claimed.trust()


def test_only_ids_that_may_have_been_there_wait(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_ROWS_TO_DOUBT", 5)
    remember(tmp_path / "claimed", 2)
    values = [click(0), b"{", click(1), click(2), click(3), click(1), click(4)]
    piece = staged(values, storage, tmp_path / "claimed")
    assert piece.good
    assert piece.unsure
    assert offsets(read_data_file(piece.good, storage)) == [0, 4, 6]
    assert offsets(from_bytes(piece.unsure)) == [2, 3, 5]
    assert from_bytes(piece.marks).column("offset").to_pylist() == [0, 4, 6, 2, 3, 5, 1]


@pytest.mark.parametrize("filter_", ["none", "of another boot", "of another machine", "few rows"])
def test_without_a_filter_or_with_few_rows_all_go_into_the_file(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filter_: str
) -> None:
    monkeypatch.setattr(staging, "_ROWS_TO_DOUBT", 50 if filter_ == "few rows" else 1)
    folder = tmp_path / "claimed"
    if filter_ in {"of another boot", "few rows"}:
        remember(folder, 0)
    if filter_ == "of another boot":
        (folder / "boot").write_text("another")
    piece = staged([click(0), click(1), click(0)], storage, None if filter_ == "none" else folder)
    assert piece.unsure is None
    assert piece.good
    assert offsets(read_data_file(piece.good, storage)) == [0, 1, 2]
