"""Silver takes every position once, whatever is killed, lost or sent again."""

from __future__ import annotations

import pytest

from streaming.ledger import Totals, totals
from tests.streaming.conftest import Platform, event

pytestmark = pytest.mark.spark


def test_every_position_has_one_outcome(platform: Platform) -> None:
    platform.put("events_listens", *(event(number) for number in range(20)), event(3), event(4, item_id="track:other"))
    platform.put("events_views", event(3, kind="view"), b"{", b"", None)
    platform.run()
    assert {row["event_id"] for row in platform.rows("silver/events_listens")} == {f"event-{n}" for n in range(20)}
    assert len(platform.rows("silver/events_listens")) == 20
    assert totals(platform.lake)["events_listens"] == Totals(
        received=22, stored=20, duplicate=2, dead_lettered=0, event_id_conflicts=1
    )
    assert totals(platform.lake)["events_views"] == Totals(received=4, stored=1, dead_lettered=3)
    dead = platform.rows("deadletter/events_views")
    assert sorted(row["reason"] for row in dead) == ["empty_message", "empty_message", "malformed_json"]
    assert {row["value"] for row in dead} == {b"{", b"", None}
    assert platform.problems() == []
