"""Upkeep leaves the same rows in fewer files, takes away what nobody names, and disturbs no stream."""

from __future__ import annotations

from datetime import timedelta

import pytest

from streaming.sinks.files import write_data_file
from streaming.tables import LEDGER, silver
from streaming.upkeep import look, orphans, tend, tend_all
from tests.streaming.conftest import BRONZE, Platform, event

pytestmark = pytest.mark.spark

TABLE = silver("events_listens")


def test_small_files_become_one_and_the_stream_goes_on(platform: Platform) -> None:
    for batch in range(9):
        platform.put("events_listens", *(event(number) for number in range(batch * 5, batch * 5 + 6)))
        platform.run(max_offsets_per_trigger=1000)
    platform.run(BRONZE)
    before = sorted(row["event_id"] for row in platform.rows(TABLE.id))
    care = tend(platform.lake, TABLE)
    assert (care.files, care.files_after, care.rows) == (9, 1, 46)
    assert sorted(row["event_id"] for row in platform.rows(TABLE.id)) == before
    tend_all(platform.settings)
    platform.put("events_listens", event(3), event(99))
    platform.run()
    assert len(platform.rows(TABLE.id)) == 47
    assert platform.problems() == []


def test_a_staged_file_lives_for_the_retention_and_not_longer(platform: Platform) -> None:
    platform.put("events_listens", event(1))
    platform.run()
    rows = platform.lake.read(TABLE)
    write_data_file(rows, TABLE, platform.settings.storage)
    assert len(orphans(TABLE, platform.settings.storage)) == 1
    tend(platform.lake, TABLE)
    assert len(orphans(TABLE, platform.settings.storage)) == 1, "a batch may still commit it"
    assert tend(platform.lake, TABLE, retention=timedelta(0)).removed == 1
    assert orphans(TABLE, platform.settings.storage) == []
    assert len(platform.rows(TABLE.id)) == 1
    assert look(platform.lake, LEDGER).rows > 0
